"""Our own tf2onnx handlers, which produce ONNX ops that tf2onnx produces for no TensorFlow op."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Tuple

import numpy as np

Handler = Callable[[Any, Any, str, Any], None]
HANDLERS: Dict[str, Tuple[Handler, List[Any]]] = {}

# numbers of ONNX's TensorProto.DataType
_INT32 = 6
_NO_WHERE = frozenset((9, 3, 5, 4))  # bool, int8, int16, uint16: ONNX Runtime's Where lacks them


def _handles(*ops: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        HANDLERS.update({op: (handler, []) for op in ops})
        return handler

    return register


@_handles("Select", "SelectV2")
def _select(graph: Any, node: Any, name: str, _: Any) -> None:
    """Use Where. tf2onnx multiplies both sides by 0 or 1, so NaN of the other side would stay."""
    dtype = graph.get_dtype(node.output[0])
    if node.type == "Select":
        _broadcast_rows(graph, node)
    node.type = "Where"
    if dtype in _NO_WHERE:
        for place in (1, 2):
            cast = graph.insert_new_node_on_input(node, "Cast", node.input[place], to=_INT32)
            graph.set_dtype(cast.output[0], _INT32)
        graph.set_dtype(node.output[0], _INT32)
        back = graph.insert_new_node_on_output("Cast", node.output[0], to=dtype)
        graph.set_dtype(back.output[0], dtype)


def _broadcast_rows(graph: Any, node: Any) -> None:
    """Reshape a condition of rank 1 to choose rows, as Select does; ONNX would choose columns."""
    condition = graph.get_shape(node.input[0])
    ranks = [len(shape) for shape in map(graph.get_shape, node.input[1:]) if shape is not None]
    if condition is None or not ranks:
        raise ValueError("the ranks of its inputs are unknown")
    if len(condition) == 1 and ranks[0] > 1:
        shape = np.array([-1] + [1] * (ranks[0] - 1), np.int64)
        const = graph.make_const(f"{node.name}/rows", shape)
        rows = graph.make_node("Reshape", [node.input[0], const.output[0]])
        graph.replace_input(node, node.input[0], rows.output[0], 0)

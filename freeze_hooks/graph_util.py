"""Replacements for TensorFlow's own functions for freezing.

    from freeze_hooks import graph_util
    frozen = graph_util.convert_variables_to_constants(sess, graph_def, ["probs"])

Arguments and results are those of `tf.compat.v1.graph_util.convert_variables_to_constants` and of
`convert_variables_to_constants_v2` (tensorflow/python/framework/convert_to_constants.py).
"""

from __future__ import annotations

from typing import Any, Container, Dict, Iterable, List, Optional, Tuple

from . import _tf
from ._protos import GraphDef
from ._tf import v1
from .errors import MissingNodeError, NotFreezableError, UnknownNameError, refused
from .frozen.stream import graph_def_of
from .graph.functions import outputs_of
from .graph.validate import refuse_broken
from .plan.compiler import compile_plan
from .plan.file_options import FileOptions
from .plan.spec import FreezeSpec, kept_variables
from .signature import SERVING
from .sources.naming import Naming, fed_of, variable_names
from .sources.traced_functions import Traced, plan_functions
from .values.session_reads import SessionValues
from .values.static_tables import static_contents


def convert_variables_to_constants(
    sess: Any,
    input_graph_def: Any,
    output_node_names: Iterable[str],
    variable_names_whitelist: Optional[Container[str]] = None,
    variable_names_blacklist: Optional[Container[str]] = None,
) -> Any:
    """Use it in place of TensorFlow's: it returns a GraphDef of the outputs, without variables.

    Conditionals, loops, functions and lookup tables are frozen too. Control inputs are removed,
    since they would only run updates and summaries. As in TensorFlow's function, nodes keep their
    devices; constants have none.

    Args:
      sess: a session with the variables; its graph may be finalized.
      input_graph_def: the GraphDef of the session's graph, or of a part of it.
      output_node_names: names of nodes.
      variable_names_whitelist: the only variables to replace, by the names of their nodes.
      variable_names_blacklist: variables that stay variables.

    Returns:
      The GraphDef.

    Raises:
      TypeError: an argument has the wrong type.
      AssertionError: a name is not in the graph; the message lists near matches. The error is a
        FreezeError too.
      FreezeError: the outputs cannot be frozen.
      tf.errors.FailedPreconditionError: a variable is not initialized.
    """
    if not isinstance(input_graph_def, GraphDef):
        raise TypeError(f"input_graph_def must be a GraphDef, not {type(input_graph_def)}")
    if isinstance(output_node_names, str):
        raise TypeError(f"output_node_names must be a list of names, not {output_node_names!r}")
    kept = kept_variables(variable_names_whitelist, variable_names_blacklist)
    outputs, targets = _ends(input_graph_def, dict.fromkeys(output_node_names))
    outputs = outputs_of(input_graph_def, outputs)
    spec = FreezeSpec.make(outputs, kept=kept, targets=tuple(targets) if kept else (), devices=True)

    def shape_of(tensor: str) -> Any:
        try:
            return _tf.static_shape(sess.graph, tensor)
        except (KeyError, ValueError):
            return None

    try:
        with refused("input_graph_def", kind=NotFreezableError):
            refuse_broken(input_graph_def)
            content_of = static_contents(input_graph_def)
            plan = compile_plan(input_graph_def, spec, shape_of, content_of=content_of)
    except UnknownNameError as error:
        raise MissingNodeError(str(error)) from None
    try:
        values = SessionValues(sess.graph, [slot.variable for slot in plan.slots])
    except KeyError as error:
        raise MissingNodeError(f"the session's graph lacks a variable: {error}") from None
    return graph_def_of(plan, values.read(sess))


def _ends(graph_def: Any, names: Iterable[str]) -> Tuple[List[str], List[str]]:
    """Return (names of nodes with outputs, names of nodes that can only run)."""
    ops: Dict[str, Any] = {node.name: _tf.op_def(node.op) for node in graph_def.node}
    known = [(name, ops[name]) for name in names if ops.get(name) is not None]
    running = [name for name, definition in known if not definition.output_arg]
    return [name for name in names if name not in running], running


def convert_variables_to_constants_v2(
    func: Any, lower_control_flow: bool = True, aggressive_inlining: bool = False
) -> Any:
    """Use it in place of TensorFlow's: it returns a function like `func` with fixed variables.

    Args:
      func: a ConcreteFunction.
      lower_control_flow: write conditionals and loops as Switch, Merge, Enter...
      aggressive_inlining: not used; functions are always inlined.

    Returns:
      The function. Its `inputs` are those of `func` without captures, and its `outputs` have the
      names of `func`'s. Its graph has the variables' present values as constants. Nodes keep their
      devices.

    Raises:
      FreezeError: the function cannot be frozen.
    """
    fed = fed_of(func)
    names = [t.op.name for t in fed]
    naming = Naming(names, None, variable_names(func.graph))
    file = FileOptions(lower_control_flow=lower_control_flow)
    planned = plan_functions({SERVING: Traced(func, naming)}, file, devices=True)
    graph_def = graph_def_of(planned.plan, planned.values())
    present = {node.name for node in graph_def.node}
    for tensor in fed:  # inputs that no output needs stay in the signature
        if tensor.op.name not in present:
            graph_def.node.add().CopyFrom(tensor.op.node_def)
    wrapped = v1.wrap_function(lambda: v1.import_graph_def(graph_def, name=""), [])
    frozen = wrapped.prune(
        [wrapped.graph.get_tensor_by_name(name + ":0") for name in names],
        [wrapped.graph.get_tensor_by_name(t.name) for t in func.outputs],
    )
    for tensor, original in zip(frozen.inputs, fed):
        tensor.set_shape(original.shape)
    return frozen

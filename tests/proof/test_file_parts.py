"""The nodes and values that a proof finds in a file are those that TensorFlow's parser finds."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as some

from freeze_hooks.frozen import wire
from freeze_hooks.proof.file_parts import parts_of, varint

v1 = tf.compat.v1
NAMES = some.text("abcé/_.", min_size=1, max_size=9)
ARRAYS = some.one_of(
    some.lists(some.floats(width=32, allow_nan=False), max_size=9).map(np.float32),
    some.lists(some.integers(-(2**63), 2**63 - 1), max_size=9).map(np.int64),
    some.lists(some.booleans(), max_size=9).map(lambda found: np.array(found, bool)),
    some.lists(some.binary(max_size=4), max_size=3).map(lambda found: np.array(found, object)),
    some.sampled_from([np.float16(2), np.zeros([2, 0], "f"), np.arange(6.0).reshape(2, 1, 3)]),
)


def constant(name, array, inputs=()):
    node = v1.NodeDef(name=name, op="Const", input=inputs)
    tensor = v1.make_tensor_proto(array)
    node.attr["dtype"].type = tensor.dtype
    node.attr["value"].tensor.CopyFrom(tensor)
    return node


@some.composite
def graphs(draw):
    graph_def = v1.GraphDef()
    for name in draw(some.lists(NAMES, max_size=5, unique=True)):
        if draw(some.booleans()):
            node = constant(name, draw(ARRAYS), draw(some.lists(NAMES, max_size=2)))
        else:
            node = v1.NodeDef(name=name, op="NoOp", input=draw(some.lists(NAMES, max_size=2)))
            node.attr["value"].s = draw(some.binary(max_size=300))
        if draw(some.booleans()):
            node.attr["_freeze_hooks"].s = b"{}"
        graph_def.node.add().CopyFrom(node)
    graph_def.library.function.add().signature.name = draw(NAMES)
    graph_def.versions.producer = draw(some.integers(0, 2**31 - 1))
    return graph_def


@settings(deadline=None)
@given(graphs())
def test_as_tensorflow_parses_them(graph_def):
    data = graph_def.SerializeToString()
    parts = list(parts_of(data, 0, len(data)))
    assert [part.start for part in parts] == [0, *(part.end for part in parts)][: len(parts)]
    assert not parts or parts[-1].end == len(data)
    nodes = [part for part in parts if part.op]
    assert len(nodes) == len(graph_def.node)
    for part, node in zip(nodes, graph_def.node):
        assert v1.NodeDef.FromString(data[part.body : part.end]) == node
        assert (part.name, part.op) == (node.name, node.op)
        assert part.has_inputs == bool(node.input)
        assert part.is_described == ("_freeze_hooks" in node.attr)
        tensor = node.attr["value"].tensor if node.op == "Const" else None
        if tensor is None or not tensor.tensor_content:
            assert part.value is None
            continue
        value = part.value
        assert data[value.start : value.end] == tensor.tensor_content
        assert value.dtype == tensor.dtype
        assert list(value.shape) == [dim.size for dim in tensor.tensor_shape.dim]


@settings(deadline=None)
@given(graphs(), some.integers(0, 2**20), some.integers(1, 255))
def test_damaged_bytes_are_an_error_or_another_graph(graph_def, place, change):
    data = bytearray(graph_def.SerializeToString())
    data[place % len(data)] ^= change
    for damaged in (bytes(data), bytes(data[: place % len(data)])):
        try:
            parts = list(parts_of(damaged, 0, len(damaged)))
        except ValueError:
            continue
        assert b"".join(damaged[part.start : part.end] for part in parts) == damaged


@given(some.integers(0, 2**64 - 1))
def test_varint(number):
    assert varint(b"x" + wire.varint(number) + b"y", 1) == (number, 1 + len(wire.varint(number)))


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 11], ids=["none", "cut", "long"])
def test_what_is_no_number(data):
    with pytest.raises(ValueError, match="no number"):
        varint(data, 0)


@pytest.mark.parametrize("twice", ["value", "content"])
def test_a_value_that_stands_there_twice_is_left_to_tensorflow(twice):
    """TensorFlow takes the last one, or merges them."""
    first, last = constant("c", np.float32([1, 2])), constant("c", np.float32([3, 4]))
    node = first.SerializeToString()
    if twice == "value":
        node += v1.NodeDef(attr={"value": last.attr["value"]}).SerializeToString()
    else:
        tensor = first.attr["value"].tensor.SerializeToString() + wire.field(4, b"12345678")
        attr = wire.field(1, b"value") + wire.field(2, wire.field(8, tensor))
        node = v1.NodeDef(name="c", op="Const").SerializeToString() + wire.field(5, attr)
    data = wire.field(1, node)
    assert len(v1.GraphDef.FromString(data).node[0].attr["value"].tensor.tensor_content) == 8
    assert [part.value for part in parts_of(data, 0, len(data))] == [None]

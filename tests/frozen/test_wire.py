"""Bytes written for a GraphDef are compared with what protobuf and TensorFlow read from them."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import wrappers_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tensorflow.core.framework import types_pb2

from freeze_hooks.errors import FreezeError
from freeze_hooks.frozen import stream, wire
from freeze_hooks.graph.variables import Variable
from freeze_hooks.plan.types import Described, FreezePlan, Slot
from freeze_hooks.signature import SERVING, Signature
from freeze_hooks.values import session_reads
from freeze_hooks.values.value import Value

v1 = tf.compat.v1
GraphDef, NodeDef = v1.GraphDef, v1.NodeDef
STRING = types_pb2.DT_STRING
BITS = {"int4": 4, "uint4": 4, "int2": 2, "uint2": 2, "float4_e2m1fn": 4}  # held in a byte each

SHAPES = st.one_of(
    arrays.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=4),
    arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
)
FEW = settings(max_examples=25)
MANY = settings(max_examples=200)


def has_bytes(enum):
    try:
        return np.dtype(tf.as_dtype(enum).as_numpy_dtype).itemsize > 0
    except KeyError:
        return False


DTYPES = [enum for name, enum in types_pb2.DataType.items() if enum and not name.endswith("_REF")]
NUMERIC = sorted(enum for enum in DTYPES if enum != STRING and has_bytes(enum))


def dtype_of(enum):
    return np.dtype(tf.as_dtype(enum).as_numpy_dtype)


@st.composite
def any_bits(draw, enum):
    """Draw an array of the dtype with any of its bit patterns, including NaN payloads."""
    shape, dtype = draw(SHAPES), dtype_of(enum)
    size = int(np.prod(shape, dtype=int))
    nbytes = size * dtype.itemsize
    data = np.frombuffer(draw(st.binary(min_size=nbytes, max_size=nbytes)), np.uint8)
    bits = BITS.get(dtype.name)
    if bits and dtype.name != "float4_e2m1fn":
        low = -(1 << bits - 1) if dtype.name.startswith("int") else 0
        return (data.astype(np.int32) % (1 << bits) + low).astype(dtype).reshape(shape)
    if bits:
        data = data % (1 << bits)
    if dtype == np.bool_:
        data = data % 2
    return data.copy().view(dtype).reshape(shape)


def node_def(name, op, dtype=None, *inputs):
    node = NodeDef(name=name, op=op, input=inputs)
    if dtype is not None:
        node.attr["dtype" if op == "Const" else "T"].type = dtype
    return node


def const(name, enum, array):
    header = wire.const_header(
        node_def(name, "Const", enum).SerializeToString(), enum, array.shape, array.nbytes
    )
    return header + bytes(session_reads.as_bytes(array))


def strings(name, shape, elements):
    return wire.string_const(
        node_def(name, "Const", STRING).SerializeToString(), STRING, shape, elements
    )


def plan(*pieces):
    return FreezePlan(pieces, {SERVING: Signature((), ())}, (), {})


def slot(name, enum, shape=None):
    node = node_def(name, "Const", enum).SerializeToString()
    return Slot(Variable(name, enum, shape, True), node, enum)


class File(io.BytesIO):
    """A file in memory, as a Sink."""

    @property
    def bytes(self):
        return self.tell()


def streamed(plan, filled, description=None):
    file = File()
    stream.write(plan, iter(filled), description or {}, file)
    return file.getvalue()


def run(graph_def, *names):
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with v1.Session(graph=graph) as session:
            return session.run([name + ":0" for name in names])


def plain(dtype):
    """Return the dtype of the numbers: qint8 is sometimes a structure of one int8."""
    return dtype[0] if dtype.names else dtype


def same(got, array):
    got = np.asarray(got)
    assert plain(got.dtype) == plain(array.dtype)
    assert got.shape == array.shape
    assert got.tobytes() == array.tobytes()


def test_start_is_an_empty_versions():
    start = GraphDef()
    start.versions.SetInParent()
    assert start.SerializeToString() == wire.START


def test_every_dtype_is_covered():
    assert set(DTYPES) - set(NUMERIC) == {STRING, types_pb2.DT_RESOURCE, types_pb2.DT_VARIANT}


@pytest.mark.parametrize("enum", NUMERIC, ids=lambda enum: tf.as_dtype(enum).name)
@FEW
@given(data=st.data())
def test_constants_of(enum, data):
    """stream.write makes the bytes that are made by hand; they are read back bit for bit."""
    given_arrays = [data.draw(any_bits(enum)) for _ in range(3)]
    names = ["a", "scope/b", "c" * 200]
    plain = wire.field(wire.NODE, node_def("out", "Identity", enum, "a").SerializeToString())
    by_hand = b"".join(const(n, enum, a) for n, a in zip(names, given_arrays)) + plain
    slots = [slot(n, enum, a.shape) for n, a in zip(names, given_arrays)]
    by_stream = streamed(plan(*slots, plain), map(session_reads.as_value, given_arrays))
    assert by_stream == wire.START + by_hand

    graph_def = GraphDef.FromString(by_stream)
    assert [node.name for node in graph_def.node] == names + ["out"]
    assert not graph_def.versions.ByteSize()
    for node, array in zip(graph_def.node, given_arrays):
        tensor = node.attr["value"].tensor
        assert tensor.dtype == node.attr["dtype"].type == enum
        assert [dim.size for dim in tensor.tensor_shape.dim] == list(array.shape)
        if array.size:  # make_ndarray does not know every dtype without content
            same(tf.make_ndarray(tensor), array)
    for got, array in zip(run(graph_def, *names), given_arrays):
        same(got, array)


@pytest.mark.parametrize("enum", NUMERIC, ids=lambda enum: tf.as_dtype(enum).name)
@FEW
@given(data=st.data())
def test_constants_equal_tensorflows_own(enum, data):
    array = data.draw(any_bits(enum))
    (node,) = GraphDef.FromString(const("n", enum, array)).node
    ours = node.attr["value"].tensor
    try:
        theirs = v1.make_tensor_proto(array, dtype=enum)
    except (TypeError, ValueError):
        assert array.dtype.names or array.dtype.name.startswith("float8"), "it knows all others"
        return
    assert (ours.dtype, ours.tensor_shape) == (theirs.dtype, theirs.tensor_shape)
    if theirs.tensor_content:  # else it lists the elements
        assert ours == theirs


@pytest.mark.parametrize(
    "name, pattern",
    [
        ("float16", [0x7E01, 0xFC01, 0x7C01]),
        ("bfloat16", [0x7FC1, 0xFF81, 0x7F81]),
        ("float32", [0x7FC00001, 0xFFC12345, 0x7F800001]),  # the last is a signalling NaN
        ("float64", [0x7FF8000000000001, 0xFFF8123456789ABC, 0x7FF0000000000001]),
    ],
)
def test_nan_payloads_stay(name, pattern):
    dtype = tf.as_dtype(name)
    bits = np.array(pattern, f"u{dtype.size}")
    array = bits.view(dtype.as_numpy_dtype)
    enum = dtype.as_datatype_enum
    with np.errstate(invalid="ignore"):  # signalling NaNs warn
        assert np.isnan(array).all()
    graph_def = GraphDef.FromString(
        streamed(plan(slot("n", enum)), [session_reads.as_value(array)])
    )
    same(tf.make_ndarray(graph_def.node[0].attr["value"].tensor), array)
    same(run(graph_def, "n")[0], array)


def flat(array):
    return np.asarray(array, object).reshape(-1).tolist()


@FEW
@given(data=st.data())
def test_strings(data):
    shape = data.draw(SHAPES)
    size = int(np.prod(shape, dtype=int))
    element = st.one_of(st.binary(max_size=300), st.just(b"\0"), st.just("ä€\U0001f600".encode()))
    elements = data.draw(st.lists(element, min_size=size, max_size=size))
    array = np.empty(size, object)
    array[:] = elements
    whole = array.reshape(shape) if shape else elements[0]  # as session.run gives them
    by_stream = streamed(plan(slot("s", STRING)), [session_reads.as_value(whole)])
    assert by_stream == wire.START + strings("s", shape, elements)
    (node,) = GraphDef.FromString(by_stream).node
    tensor = node.attr["value"].tensor
    assert list(tensor.string_val) == elements
    assert tensor == v1.make_tensor_proto(array.reshape(shape), dtype=tf.string)
    got = run(GraphDef.FromString(by_stream), "s")[0]
    assert np.shape(got) == shape or not shape
    assert flat(got) == elements


def test_text_is_written_as_utf8():
    value = session_reads.as_value(np.array(["ä", "€x"]))
    assert (value.shape, value.strings) == ((2,), ["ä".encode(), "€x".encode()])


@MANY
@given(st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1), st.just(2**64 - 1)))
def test_varint_is_protobufs(number):
    expected = wrappers_pb2.UInt64Value(value=number or 1).SerializeToString()[1:]
    assert wire.varint(number) == (expected if number else b"\0")


@pytest.mark.parametrize("power", range(1, 64))
def test_varint_at_each_power_of_two(power):
    for number in (2**power - 1, 2**power, 2**power + 1):
        expected = wrappers_pb2.UInt64Value(value=number).SerializeToString()[1:]
        assert wire.varint(number) == expected


@MANY
@given(st.integers(1, 2**29 - 1), st.binary(max_size=300))
def test_field_is_read_back(number, data):
    encoded = wire.field(number, data)
    assert encoded == wire.prefix(number, len(data)) + data
    tag, at = read_varint(encoded, 0)
    length, at = read_varint(encoded, at)
    assert (tag, length, encoded[at:]) == (number << 3 | 2, len(data), data)


def read_varint(data, at):
    number, shift = 0, 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at


def last_field(data, at, end):
    """Return (number, first byte, one past the end) of the last field between `at` and `end`.

    `end` may be past the data: the last field then extends past it too.
    """
    while True:
        tag, at = read_varint(data, at)
        length, first = read_varint(data, at)
        at = first + (length if tag & 7 == 2 else 0)
        if at == end:
            return tag >> 3, first, at
        assert at < len(data), "a field before the last one is too long"


@MANY
@given(
    st.one_of(
        st.integers(0, 2**32),
        st.integers(2**31 - 200, 2**31 + 200),
        st.sampled_from([2**7, 2**14, 2**21, 2**28]).flatmap(lambda n: st.integers(n - 99, n)),
    ),
    st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=200),
    st.lists(st.integers(0, 2**33), max_size=6),
)
def test_lengths_of_large_constants(length, name, shape):
    """All nested fields end where the value ends, whatever its length."""
    node = node_def(name, "Const", types_pb2.DT_UINT8)
    header = wire.const_header(node.SerializeToString(), types_pb2.DT_UINT8, shape, length)
    at, end = 0, len(header) + length
    for number in (1, 5, 2, 8, 4):  # node, attr, value, tensor, tensor_content
        found, at, end_of_field = last_field(header, at, end)
        assert (found, end_of_field) == (number, end)
    assert at == len(header)


@FEW
@given(
    st.dictionaries(
        st.text(max_size=20),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.just("\ud800\0€")),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    )
)
def test_description_survives(description):
    described = Described(node_def("y", "Identity", types_pb2.DT_FLOAT, "x").SerializeToString())
    x = np.ones(3, np.float32)
    pieces = plan(slot("x", types_pb2.DT_FLOAT), described)
    graph_def = GraphDef.FromString(streamed(pieces, [session_reads.as_value(x)], description))
    node = graph_def.node[1]
    assert (node.name, node.op, list(node.input)) == ("y", "Identity", ["x"])
    assert json.loads(node.attr[wire.DESCRIPTION].s.decode()) == description
    same(run(graph_def, "y")[0], x)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_description_is_strict_json(value):
    with pytest.raises(ValueError):
        wire.described(b"", {"metric": value})


def test_value_in_chunks():
    array = np.arange(1000, dtype=np.int64).reshape(10, 100)
    chunks = (session_reads.as_bytes(part) for part in np.array_split(array.reshape(-1), 7))
    value = Value(array.shape, array.nbytes, chunks)
    data = streamed(plan(slot("v", types_pb2.DT_INT64, (10, 100))), [value])
    assert data == wire.START + const("v", types_pb2.DT_INT64, array)


def test_chunks_are_let_go():
    """Each chunk is freed before the next one is fetched."""
    alive = []

    class Chunk(bytes):
        def __init__(self, *args):
            alive.append(self)

        def __del__(self):
            gone.append(1)

    gone = []

    def chunks():
        for number in range(3):
            assert len(gone) == number
            yield Chunk(b"12345678")
            alive.clear()

    value = Value((3,), 24, chunks())
    file = File()
    stream.write(plan(slot("v", types_pb2.DT_INT64)), iter([value]), {}, file)
    assert file.getvalue().endswith(b"12345678" * 3)


@given(st.lists(st.integers(1, 3 << 14), min_size=1, max_size=4), st.text(max_size=70))
@settings(deadline=None, max_examples=30)
def test_large_values_begin_at_multiples_of_64(sizes, step):
    """A field that GraphDef does not have comes before their nodes; every parser skips it."""
    wanted = [np.arange(size, dtype=np.int64) for size in sizes]
    slots = [slot(f"v{i}", types_pb2.DT_INT64) for i in range(len(wanted))]
    values = [session_reads.as_value(array) for array in wanted]
    data = streamed(plan(slots[0], Described(slots[0].node), *slots[1:]), values, {"step": step})
    nodes = [n for n in v1.GraphDef.FromString(data).node if "_freeze_hooks" not in n.attr]
    for node, array in zip(nodes, wanted):
        content = node.attr["value"].tensor.tensor_content
        assert content == array.tobytes()
        assert array.nbytes < 1 << 16 or data.index(content) % 64 == 0
    more = len(data) - sum(array.nbytes for array in wanted)
    assert more < 1000 + 66 * len(wanted)


def test_another_shape_than_declared_is_refused():
    value = session_reads.as_value(np.zeros((2, 3), np.float32))
    with pytest.raises(FreezeError, match=r"'v' has shape \[2, 3\].*declares \[3, 2\]"):
        streamed(plan(slot("v", types_pb2.DT_FLOAT, (3, 2))), [value])


@pytest.mark.parametrize("array", [np.zeros((3, 0)), np.zeros(()), np.arange(12.0).reshape(3, 4).T])
def test_as_bytes_of_awkward_arrays(array):
    buffer = session_reads.as_bytes(array)
    assert (len(buffer), bytes(buffer)) == (array.nbytes, array.tobytes())


def test_as_bytes_shares_memory():
    array = np.zeros(4, np.float32)
    buffer = session_reads.as_bytes(array)
    array[0] = 1.0
    assert bytes(buffer) == array.tobytes()

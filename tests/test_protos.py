"""What TensorFlow says of element types and of tensors' messages is what is said without it."""

import numpy as np
import pytest
import tensorflow as tf

from freeze_hooks import _protos

NUMBERS = range(200)


def known(number):
    try:
        return tf.as_dtype(number)
    except TypeError:
        return None


def test_each_number_has_the_name_that_tensorflow_gives_it():
    for number in NUMBERS:
        found = known(number)
        expected = f"unknown({number})" if found is None else found.base_dtype.name
        assert _protos.dtype_name(number) == expected
        assert (number in _protos.DATA_TYPES) == (found is not None)
    for number in filter(known, range(100)):
        assert _protos.dtype_enum(known(number).name) == number


def test_each_element_has_the_size_that_tensorflow_gives_it():
    for number in filter(known, NUMBERS):
        name = known(number).base_dtype.name
        if name in ("resource", "variant"):
            continue
        kind = known(number).as_numpy_dtype
        assert _protos.itemsize(number) == np.dtype(kind).itemsize, name
        assert np.dtype(_protos.numpy_dtype(number)) == np.dtype(kind), name
    with pytest.raises(TypeError):
        _protos.itemsize(99)


SPELLED = [name for name in _protos._PLAIN if name != "bool"] + ["string", "bfloat16"]


@pytest.mark.parametrize("name", SPELLED)
def test_a_tensor_is_the_array_that_tensorflow_reads(name):
    kind = tf.as_dtype(name)
    texts = [[b"a", b"\0"], [b"", b"c"]]
    values = texts if name == "string" else np.array([[1, 2], [0, 100]]).astype(kind.as_numpy_dtype)
    for value in (values, values[0][0], values[:0], np.repeat(values[:1], 3, axis=0)):
        if not np.size(value) and name == "string":
            continue
        made = tf.make_tensor_proto(value, dtype=kind)
        same(made)
        made.tensor_shape.dim.add(size=1)
        same(made)


def same(proto):
    ours = _protos.to_array(proto)
    try:
        theirs = tf.make_ndarray(proto)
    except TypeError:  # of TensorFlow 1.15, which cannot read what it writes
        assert ours.dtype in (np.uint32, np.uint64)
        return
    assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
    np.testing.assert_array_equal(ours, theirs)
    assert not ours.size or ours.flags.writeable == theirs.flags.writeable


def spelled(dtype, shape, **fields):
    made = _protos.TensorProto(dtype=tf.as_dtype(dtype).as_datatype_enum, **fields)
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    return made


@pytest.mark.parametrize(
    "proto",
    [
        spelled("float32", [3, 2], float_val=[1, 2.5]),
        spelled("float16", [4], half_val=[15360, 16384]),
        spelled("complex64", [3], scomplex_val=[1, 2, 3, 4]),
        spelled("complex128", [], dcomplex_val=[1, 2]),
        spelled("bool", [5], bool_val=[True, False]),
        spelled("bool", [2], tensor_content=b"\1\0"),
        spelled("uint64", [2], uint64_val=[1 << 63]),
        spelled("int64", [2], int64_val=[-1]),
        spelled("int8", [2], int_val=[-128, 127]),
        spelled("float64", [2, 0]),
        spelled("float32", [2]),
    ],
    ids=repr,
)
def test_what_a_tensor_leaves_out_is_filled_in_as_tensorflow_does(proto):
    same(proto)


def test_a_tensor_that_does_not_fill_its_shape_is_refused():
    for proto in (
        spelled("float32", [1], float_val=[1, 2]),
        spelled("int32", [2], tensor_content=b"\0\0\0\0"),
    ):
        with pytest.raises(ValueError):
            _protos.to_array(proto)
        with pytest.raises(ValueError):
            tf.make_ndarray(proto)


def test_a_message_of_another_kind_is_refused():
    with pytest.raises(_protos.DecodeError):
        _protos.parse(_protos.GraphDef(), b"\x0c")


def test_messages_are_the_ones_that_tensorflow_uses():
    assert isinstance(tf.Graph().as_graph_def(), _protos.GraphDef)
    assert isinstance(tf.make_tensor_proto(1), _protos.TensorProto)

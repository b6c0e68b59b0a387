"""TensorFlow reads what BundleWriter writes."""

import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from freeze_hooks._protos import dtype_enum
from freeze_hooks.values.bundle import Bundle
from freeze_hooks.values.bundle_writer import DATA, INDEX, BundleWriter

v1 = tf.compat.v1
DTYPES = [np.float32, np.float64, np.int8, np.uint8, np.int64, np.bool_, np.complex64, np.float16]
KEYS = st.text(
    st.characters(blacklist_categories=("Cs",), min_codepoint=1), min_size=1, max_size=40
)
ARRAYS = arrays.arrays(st.sampled_from(DTYPES), arrays.array_shapes(min_dims=0, min_side=0))


class Counted(io.FileIO):
    """A file that knows how many bytes were written to it."""

    bytes = 0

    def write(self, data):
        self.bytes += memoryview(data).nbytes
        return super().write(data)


def written(directory, tensors, size=7):
    """The prefix of a checkpoint with these tensors, written in chunks of so many bytes."""
    with Counted(str(directory / DATA), "wb") as file:
        writer = BundleWriter(file)
        for key, array in tensors.items():
            data = memoryview(array.tobytes())
            chunks = (data[i : i + size] for i in range(0, len(data), size))
            writer.add(key, dtype_enum(array.dtype.name), array.shape, chunks)
    (directory / INDEX).write_bytes(writer.index())
    return str(directory / "variables")


@given(st.dictionaries(KEYS, ARRAYS, min_size=1, max_size=20))
def test_tensorflow_reads_any_tensors(tmp_path_factory, tensors):
    prefix = written(tmp_path_factory.mktemp("bundle"), tensors)
    reader = v1.train.NewCheckpointReader(prefix)
    assert set(reader.get_variable_to_shape_map()) == set(tensors)
    for key, array in tensors.items():
        found = reader.get_tensor(key)
        assert found.dtype == array.dtype and found.shape == array.shape
        assert found.tobytes() == array.tobytes()


def test_restore_op_and_our_reader(tmp_path):
    tensors = {f"layer_{i}/w": np.full([i % 5, 3], i, np.float32) for i in range(2000)}
    prefix = written(tmp_path, tensors, 1 << 20)
    bundle = Bundle(prefix)
    assert bundle.shapes == {key: array.shape for key, array in tensors.items()}
    shape, nbytes, pieces = bundle.find("layer_1999/w")
    assert (shape, nbytes) == ((4, 3), 48)
    assert b"".join(map(bytes, pieces)) == tensors["layer_1999/w"].tobytes()
    with tf.Graph().as_default(), v1.Session() as session:
        keys = sorted(tensors)
        restored = session.run(
            tf.raw_ops.RestoreV2(
                prefix=prefix,
                tensor_names=keys,
                shape_and_slices=[""] * len(keys),
                dtypes=[tf.float32] * len(keys),
            )
        )
    for key, found in zip(keys, restored):
        np.testing.assert_array_equal(found, tensors[key])


def test_a_changed_byte_is_found(tmp_path):
    prefix = written(tmp_path, {"w": np.arange(100, dtype=np.float32)})
    path = tmp_path / DATA
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(tf.errors.OpError, match="Checksum does not match"):
        v1.train.NewCheckpointReader(prefix).get_tensor("w")

"""SavedModels that on_publish= makes of frozen files."""

import os

import numpy as np
import pytest
import small
import tensorflow as tf
from small import FREEZE, X

import freeze_hooks as fh

v1 = tf.compat.v1


def answer(path):
    with tf.Graph().as_default(), v1.Session() as session:
        ends = v1.saved_model.loader.load(session, ["serve"], path).signature_def
        ends = ends["serving_default"]
        return session.run(ends.outputs["probs"].name, {ends.inputs["net/x"].name: X})


@pytest.fixture
def saved(tmp_path):
    """The directory of a training with two checkpoints, of which one stays, and its answer."""
    with tf.Graph().as_default():
        step = small.build()
        hook = fh.FreezeHook(**FREEZE, on_publish=[fh.to_saved_model()])
        scaffold = v1.train.Scaffold(saver=v1.train.Saver(max_to_keep=1))
        saves = {"save_checkpoint_steps": 1, "scaffold": scaffold, "hooks": [hook]}
        with v1.train.MonitoredTrainingSession(checkpoint_dir=str(tmp_path), **saves) as session:
            for _ in range(2):
                session.run(step, small.FEEDS)
            wanted = session.run("probs:0", {"net/x:0": X, "net/is_training:0": False})
    return tmp_path, wanted


def test_beside_each_file_and_gone_with_it(saved):
    directory, wanted = saved
    made = [name for name in os.listdir(str(directory)) if name.endswith(".saved_model")]
    assert made == ["model.ckpt-2.saved_model"]
    path = str(directory / made[0])
    np.testing.assert_array_equal(answer(path), answer(path))
    np.testing.assert_allclose(answer(path), wanted, rtol=1e-6)
    with fh.load_frozen(path) as kept, fh.load_frozen(str(directory / "model.ckpt-2.pb")) as file:
        assert kept.metadata == file.metadata and kept.graph_def == file.graph_def


def test_a_saved_model_is_refused(saved):
    directory, _ = saved
    artifact = fh.freeze_checkpoint(
        str(directory / "model.ckpt-2"),
        str(directory / "m"),
        ["probs"],
        bind={"net/is_training:0": False},
        format="saved_model",
    )
    with pytest.raises(fh.ConversionError, match="is a SavedModel already"):
        fh.to_saved_model(str(directory / "other"))(artifact)
    with pytest.raises(fh.FreezeError, match=r"ends in '\.pb'"):
        fh.to_saved_model(str(directory / "other.pb"))


def test_large_values_stay_aligned(tmp_path):
    large = np.random.RandomState(0).randn(300, 100).astype(np.float32)
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 300], "x")
        tf.matmul(x, v1.get_variable("w", initializer=large), name="y")
        session.run(v1.global_variables_initializer())
        artifact = fh.freeze_session(session, str(tmp_path / "m.pb"), ["y"])
    fh.to_saved_model(str(tmp_path / "m"))(artifact)
    content = (tmp_path / "m" / "saved_model.pb").read_bytes()
    assert content.index(large.tobytes()) % 64 == 0
    rows = large.T[:2].copy()
    with fh.load_frozen(tmp_path / "m") as model:
        np.testing.assert_allclose(model(rows)["y"], rows @ large, 1e-4, 1e-4)

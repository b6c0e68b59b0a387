"""A frozen file does not take the path of another kind of file or of another callback.

FreezeCallback refuses some arguments of ModelCheckpoint.
"""

import os

import numpy as np
import pytest
import tensorflow as tf
from fitting import DIGITS, KERASES, TF1, classifier, fit, keras_of

import freeze_hooks as fh

v1 = tf.compat.v1
FOREIGN = ["m.keras", "m.h5", "m.weights.h5", "m.HDF5", "m.tflite", "m.onnx", "m.ckpt", "m.ckpt-7"]
FOREIGN += ["m.ckpt-7.index", "m.ckpt.data-00000-of-00001", "m.pb.json", "m.pbtxt", "m.safetensors"]
FOREIGN += ["saved_model.pb", "there", "new/"]

keras = pytest.fixture(params=KERASES)(lambda request: keras_of(request.param))


def saved_session(path):
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None], name="x")
        weight = v1.get_variable("w", [], initializer=v1.ones_initializer())
        probs = tf.multiply(x, weight, name="probs")
        session.run(v1.global_variables_initializer())
        fh.freeze_session(session, path, [probs])


def saved_function(path):
    fh.freeze_function(tf.function(lambda x: x + 1.0), path, input_signature=[tf.TensorSpec([2])])


def saved_checkpoint(path):
    prefix = os.path.join(os.path.dirname(path.rstrip("/")), "run", "c")
    with tf.Graph().as_default(), v1.Session() as session:
        weight = v1.get_variable("w", [2], initializer=v1.ones_initializer())
        tf.identity(weight, name="probs")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, prefix)
    fh.freeze_files(prefix, path, ["probs"])


@pytest.mark.parametrize("freeze", [saved_session, saved_function, saved_checkpoint])
@pytest.mark.parametrize("name", FOREIGN)
def test_functions_leave_what_is_not_theirs(freeze, name, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "run").mkdir()
    path = os.path.join(str(tmp_path), name)
    if name not in ("there", "new/"):
        with open(path, "w") as file:
            file.write("mine")
    with pytest.raises(fh.FreezeError, match=r"\.pb'") as error:
        freeze(path)
    assert path in str(error.value)
    if name not in ("there", "new/"):
        with open(path) as file:
            assert file.read() == "mine"


@pytest.mark.parametrize("name", FOREIGN)
def test_the_callback_says_so_when_it_is_made(name, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(fh.FreezeError, match=r"filepath=.*\.pb'"):
        fh.FreezeCallback(os.path.join(str(tmp_path), name))


def test_names_with_fields_and_of_no_kind(tmp_path):
    with pytest.raises(fh.FreezeError, match=r"ends in '\.keras'"):
        fh.FreezeCallback(str(tmp_path / "{epoch}-{val_loss:.2f}.keras"))
    for name in ("frozen", "m.frozen", "v1.5", "model.ckpt-7.pb", "m.keras.pb", "onnx", "a.bin"):
        fh.FreezeCallback(str(tmp_path / name))


def test_a_path_that_another_callback_has(keras, tmp_path):
    path = str(tmp_path / "run" / "m.pb")
    own, others = fh.FreezeCallback(path), []

    class Checkpoints(keras.callbacks.Callback):
        filepath = None

        def __init__(self):
            super().__init__()
            self.filepath = path

    others = [Checkpoints(), keras.callbacks.CSVLogger(path)]
    others += [fh.FreezeCallback(os.path.relpath(path), max_to_keep=2)]
    if hasattr(keras.callbacks, "BackupAndRestore"):
        others.append(keras.callbacks.BackupAndRestore(str(tmp_path / "run")))
    for other in others:
        with pytest.raises(fh.FreezeError, match=r"of the same fit writes to .*run"):
            fit(classifier(keras), callbacks=[own, other])
    with pytest.raises(fh.FreezeError, match="Checkpoints of the same fit"):
        fit(classifier(keras), callbacks=[others[0], own])
    with pytest.raises(fh.FreezeError, match="stands twice"):
        fit(classifier(keras), callbacks=[own, own])


def test_others_do_not_mind(keras, tmp_path):
    checkpoint = keras.callbacks.ModelCheckpoint(str(tmp_path / "m-{epoch}.h5"))
    beside = fh.FreezeCallback(beside=keras.callbacks.ModelCheckpoint(str(tmp_path / "n.h5")))
    frozen = fh.FreezeCallback(str(tmp_path / "m-{epoch}.pb"), strict=True)
    log = keras.callbacks.CSVLogger(str(tmp_path / "log"))
    fit(classifier(keras), callbacks=[checkpoint, beside, frozen, log])
    assert {"m-1.h5", "m-1.pb", "n.h5", "n.pb"} <= set(os.listdir(str(tmp_path)))
    fit(classifier(keras), callbacks=[frozen])
    run = tmp_path / "n.pb"
    with pytest.raises(fh.FreezeError, match="FreezeCallback of the same fit"):
        fit(classifier(keras), callbacks=[beside, fh.FreezeCallback(str(run))])


def test_beside_runs_its_checkpoint_alone(keras, tmp_path):
    checkpoint = keras.callbacks.ModelCheckpoint(str(tmp_path / "m.h5"))
    with pytest.raises(fh.FreezeError, match="leave it out there"):
        fit(classifier(keras), callbacks=[checkpoint, fh.FreezeCallback(beside=checkpoint)])


@pytest.mark.parametrize("different", [None, "name", "directory", "best"])
def test_two_hooks_of_a_session(different, graph, tmp_path):
    x = tf.constant(np.ones([2, 2], np.float32))
    weight = v1.get_variable("w", [2, 2], use_resource=not TF1)
    loss = tf.reduce_mean(tf.matmul(x, weight), name="loss")
    step = v1.train.get_or_create_global_step()
    train = v1.train.GradientDescentOptimizer(0.1).minimize(loss, step)
    second = {
        None: {},
        "name": {"name": "other"},
        "directory": {"output_dir": str(tmp_path / "other")},
        "best": {"save_best_only": True, "evaluate": lambda s, n: {"l": 1.0}, "monitor": "l"},
    }[different]
    hooks = [fh.FreezeHook(["loss"]), fh.FreezeHook(["loss"], **second)]

    def run():
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=str(tmp_path), hooks=hooks, save_checkpoint_steps=1
        ) as session:
            session.run(train)

    if different is None:
        with pytest.raises(fh.FreezeError, match="two FreezeHooks"):
            run()
    else:
        run()
        assert all(hook.artifacts for hook in hooks)


@pytest.mark.parametrize(
    "given, reason",
    [
        ({"save_weights_only": True}, "graph and weights in one"),
        ({"options": object()}, "a frozen file is neither"),
        ({"period": 5}, "save_freq="),
        ({"load_weights_on_restart": True}, "BackupAndRestore"),
    ],
)
def test_what_model_checkpoint_can_be_told(keras, given, reason, tmp_path):
    ((name, _),) = given.items()
    with pytest.raises(
        fh.FreezeError, match=f"{name}=.* of ModelCheckpoint is refused: .*{reason}"
    ):
        fh.FreezeCallback(str(tmp_path / "m.pb"), **given)


def test_what_asks_for_nothing_is_taken(keras, tmp_path):
    path = str(tmp_path / "m.pb")
    saves = fh.FreezeCallback(
        path, save_weights_only=False, options=None, period=1, load_weights_on_restart=False
    )
    model = classifier(keras)
    fit(model, callbacks=[saves])
    with fh.load_frozen(path) as frozen:
        found = frozen(pixels=DIGITS[:20])["probs"]
    np.testing.assert_allclose(found, model.predict(DIGITS[:20], verbose=0), atol=1e-6)


def test_by_position_and_by_wrong_names(tmp_path):
    with pytest.raises(fh.FreezeError, match="save_weights_only= at this position"):
        fh.FreezeCallback(str(tmp_path / "m.pb"), "loss", 0, True, False, "auto")
    with pytest.raises(TypeError, match="'save_best'; did you mean 'save_best_only'"):
        fh.FreezeCallback(str(tmp_path / "m.pb"), save_best=True)

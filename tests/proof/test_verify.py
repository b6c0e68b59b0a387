"""verify=: a file appears only if it answers like the live model; the file notes the difference."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
import xxhash
from fitting import DIGITS, HAS_KERAS_3, KERASES, TF1, classifier, fit, keras_of
from small import FEEDS, FREEZE, X, build, frozen_steps, network

import freeze_hooks as fh
from freeze_hooks.frozen import wire
from freeze_hooks.proof.file_runs import FileRuns, OpenFile

v1 = tf.compat.v1
ACCURATE = 1e-5


def train(hooks, directory, steps=4, **more):
    train_op = build(**more)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(directory), save_checkpoint_steps=2, hooks=hooks
    ) as session:
        for _ in range(steps):
            session.run(train_op, FEEDS)


def assert_proved(artifacts):
    assert artifacts
    for artifact in artifacts:
        assert 0 <= artifact.max_difference < ACCURATE
        assert f"max diff {artifact.max_difference:.2g}" in str(artifact)
        noted = fh.inspect(artifact.path).metadata["max_difference"]
        with open(artifact.path + ".json") as file:
            described = json.load(file)
        assert noted == described["max_difference"] == artifact.max_difference
        assert described["hash"]["value"] == artifact.hash == hash_of(artifact.path)


def hash_of(path):
    with open(path, "rb") as file:
        return xxhash.xxh3_64(file.read()).hexdigest()


@pytest.fixture
def broken(monkeypatch):
    """Add 1 to the answers of every file except step 0's: a fault there may end the training."""
    run, opened, paths = OpenFile.run, FileRuns.open, []

    def noted(self, path, *more, **named):
        paths.append(path)
        return opened(self, path, *more, **named)

    def answers(self, batches, fetches):
        more = np.float32(0 if "model.ckpt-0.pb" in paths[-1] else 1)
        return [[found + more for found in batch] for batch in run(self, batches, fetches)]

    monkeypatch.setattr(FileRuns, "open", noted)
    monkeypatch.setattr(OpenFile, "run", answers)


@pytest.mark.parametrize(
    "verify, resource",
    [(True, False), (True, True), ({"net/x": X}, True), (fh.Verify(own_process=True), False)],
    ids=["references", "random", "given", "apart"],
)
def test_hook(verify, resource, graph, tmp_path):
    hook = fh.FreezeHook(verify=verify, strict=True, **FREEZE)
    train([hook], tmp_path, steps=2, resource=resource)
    assert [artifact.step for artifact in hook.artifacts] == [0, 2]
    assert_proved(hook.artifacts)


def test_a_file_that_answers_otherwise_is_not_published(graph, tmp_path, broken, warnings_logged):
    """Training continues, or with `strict` ends; existing files stay."""
    hook = fh.FreezeHook(verify=True, **FREEZE)
    train([hook], tmp_path)
    assert [artifact.step for artifact in hook.artifacts] == frozen_steps(tmp_path) == [0]
    names = os.listdir(str(tmp_path))
    assert [n for n in names if n.endswith((".tmp", ".pb.json"))] == ["model.ckpt-0.pb.json"]
    assert any("'probs' differs" in warned for warned in warnings_logged)
    with tf.Graph().as_default(), pytest.raises(fh.NotVerifiedError, match="not published"):
        train([fh.FreezeHook(verify=True, strict=True, **FREEZE)], tmp_path / "strict")


def test_what_was_there_stays(graph, tmp_path, monkeypatch):
    build()
    path = str(tmp_path / "m.pb")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        kept = fh.freeze_session(session, path, verify=True, **FREEZE)
        monkeypatch.setattr(OpenFile, "run", lambda *args: [[np.zeros([2, 3], np.float32)]])
        with pytest.raises(fh.NotVerifiedError, match="'probs' differs from the live model's by"):
            fh.freeze_session(session, path, verify=True, **FREEZE)
    assert hash_of(path) == kept.hash
    assert_proved([kept])


def test_bytes_that_are_wrong_on_disk_are_found(graph, tmp_path, monkeypatch):
    """The proof runs the file itself, so it finds a value that was written wrongly."""
    build()
    right = wire.const_header
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())

        def swapped(node, dtype, shape, nbytes):
            return right(node, dtype, tuple(reversed(shape)), nbytes)

        monkeypatch.setattr(wire, "const_header", swapped)
        with pytest.raises(fh.NotVerifiedError, match="cannot be run"):
            fh.freeze_session(session, str(tmp_path / "m.pb"), verify=True, **FREEZE)
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("piped", [False, True], ids=["placeholders", "pipeline"])
def test_what_only_training_is_fed(piped, graph, tmp_path):
    """An assertion on labels, and a rate in a branch that `bind=` turns off."""
    if piped:
        data = tf.data.Dataset.from_tensor_slices((X, [0] * 16)).batch(4)
        x, labels = v1.data.make_initializable_iterator(data).get_next()
    else:
        x, labels = v1.placeholder(tf.float32, [None, 8]), v1.placeholder(tf.int32, [None])
    is_training, rate = v1.placeholder(tf.bool, []), v1.placeholder(tf.float32, [])
    with tf.control_dependencies([v1.assert_equal(tf.shape(x)[0], tf.shape(labels)[0])]):
        hidden = tf.identity(x)
    hidden = tf.cond(is_training, lambda: tf.nn.dropout(hidden, rate=rate), lambda: hidden + 0)
    y = network(hidden)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        how = {"inputs": {"x": x}, "bind": {is_training: False}, "verify": {"x": X}}
        assert_proved([fh.freeze_session(session, str(tmp_path / "m.pb"), {"y": y}, **how)])


def test_tolerance(graph, tmp_path):
    build()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())

        def freeze(tolerance=None):
            verify = fh.Verify({"net/x": X}, tolerance)
            path = str(tmp_path / "m.pb")
            return fh.freeze_session(session, path, weights="bfloat16", verify=verify, **FREEZE)

        assert 1e-6 < freeze().max_difference < 0.05
        with pytest.raises(fh.NotVerifiedError, match="allows 1e-06"):
            freeze(1e-6)


def test_averages_and_an_inference_graph(graph, tmp_path):
    """The file has other values than the session, so a copy of the graph answers."""

    def inference():
        x = v1.placeholder(tf.float32, [None, 8], "x")
        with v1.variable_scope("net"):
            return {"x": x}, {"probs": tf.nn.softmax(network(x))}

    train_op = build()
    ema = tf.train.ExponentialMovingAverage(0.9)
    with tf.control_dependencies([train_op]):
        train_op = ema.apply(v1.trainable_variables())
    hooks = [
        fh.FreezeHook(name="a", ema=ema, verify=True, strict=True, **FREEZE),
        fh.FreezeHook(name="b", inference_fn=inference, verify=True, strict=True),
        fh.FreezeHook(name="c", values="checkpoint", verify={"net/x": X}, strict=True, **FREEZE),
    ]
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path), save_checkpoint_steps=2, hooks=hooks
    ) as session:
        for _ in range(3):
            session.run(train_op, FEEDS)
    for hook in hooks:
        assert_proved(hook.artifacts)


@pytest.mark.parametrize("mutable", [False, True])
def test_tables(mutable, graph, tmp_path):
    from tensorflow.python.ops import lookup_ops

    words, numbers = tf.constant(["a", "b"]), tf.constant([1.0, 2.0])
    if mutable:
        table = lookup_ops.MutableHashTable(tf.string, tf.float32, -1.0)
        init = table.insert(words, numbers)
    else:
        table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(words, numbers), -1.0)
        init = v1.tables_initializer()
    y = table.lookup(v1.placeholder(tf.string, [None], "x"))
    tf.multiply(y, v1.get_variable("w", []), name="y")
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), init])
        verify = {"x": ["a", "b", "c"]}
        for i in range(2):
            path = str(tmp_path / f"{i}.pb")
            assert_proved([fh.freeze_session(session, path, ["y"], verify=verify)])


def test_training_is_not_changed_by_it(graph, tmp_path):
    """Updates that the outputs wait for do not run in the live session."""
    x = v1.placeholder(tf.float32, [None, 3], "x")
    for resource in (False, True):
        with v1.variable_scope(f"use_{resource}", use_resource=resource):
            count = v1.get_variable("count", [], initializer=tf.zeros_initializer())
            scale = v1.get_variable("scale", [3], initializer=tf.ones_initializer())
            with tf.control_dependencies([v1.assign_add(count, 1.0)]):
                tf.multiply(x, scale, name="y")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for scope in ("use_False", "use_True"):
            path = str(tmp_path / (scope + ".pb"))
            assert_proved([fh.freeze_session(session, path, [scope + "/y"], verify=True)])
        assert session.run(v1.global_variables()[0::2]) == [0.0, 0.0]


def test_cut_inputs(graph, tmp_path):
    data = tf.data.Dataset.from_tensors(X).repeat()
    x = v1.data.make_one_shot_iterator(data).get_next()
    tf.matmul(x, v1.get_variable("w", [8, 2]), name="y")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        for verify in (True, {"image": X}):  # the live graph takes only the pipeline's batch size
            path = str(tmp_path / "m.pb")
            cut = {"inputs": {"image": x}, "verify": verify}
            assert_proved([fh.freeze_session(session, path, ["y"], **cut)])
        with pytest.raises(fh.FreezeError, match="cannot take the feeds"):
            fh.freeze_session(session, path, ["y"], **dict(cut, verify={"image": X[:3]}))


@pytest.mark.parametrize(
    "verify, said",
    [
        ({"net/y": X}, "feeds 'net/y', which is not an input"),
        ({"x": X}, "'net/x'"),
        ({}, "no feed for 'net/x'"),
        ("yes", "verify= must be True"),
    ],
)
def test_what_is_wrong_is_said_before_training(verify, said, graph, tmp_path):
    with pytest.raises(fh.FreezeError, match=said):
        train([fh.FreezeHook(verify=verify, **FREEZE)], tmp_path)
    assert frozen_steps(tmp_path) == []


def test_feeds_that_do_not_fit(graph, tmp_path):
    build()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        with pytest.raises(fh.FreezeError, match="cannot take the feeds of verify="):
            verify = {"net/x": X[:, :5]}
            fh.freeze_session(session, str(tmp_path / "m.pb"), verify=verify, **FREEZE)


@pytest.mark.parametrize("kind", KERASES)
@pytest.mark.parametrize("background", [False, True])
def test_callback(kind, background, tmp_path):
    callback = fh.FreezeCallback(
        str(tmp_path / "{epoch}.pb"),
        save_on_background=background,
        verify={"pixels": DIGITS[:8]},
        strict=True,
    )
    fit(classifier(keras_of(kind)), callbacks=[callback], epochs=3)
    assert len(callback.artifacts) == 3
    assert_proved(callback.artifacts)


@pytest.mark.parametrize("kind", KERASES)
def test_a_callback_whose_files_answer_otherwise(kind, tmp_path, broken, warnings_logged):
    callback = fh.FreezeCallback(str(tmp_path / "m.pb"), verify=True)
    fit(classifier(keras_of(kind)), callbacks=[callback], epochs=2)
    assert callback.artifacts == () and os.listdir(str(tmp_path)) == []
    assert any("'probs' differs" in warned for warned in warnings_logged)


@pytest.mark.skipif(TF1, reason="optimizers keep averages since Keras 2.11")
@pytest.mark.parametrize("kind", KERASES)
def test_a_callback_of_averages(kind, tmp_path):
    keras = keras_of(kind)
    model = classifier(keras)
    model.compile(
        keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5), "sparse_categorical_crossentropy"
    )
    callback = fh.FreezeCallback(str(tmp_path / "m.pb"), ema="optimizer", verify=True, strict=True)
    fit(model, callbacks=[callback], epochs=2)
    assert_proved(callback.artifacts)


@pytest.mark.skipif(TF1, reason="tf.function came with TensorFlow 2")
def test_function(tmp_path):
    w = tf.Variable(np.ones([3, 2], np.float32))

    @tf.function(input_signature=[tf.TensorSpec([None, 3], name="x"), tf.TensorSpec([], name="k")])
    def predict(x, k):
        return {"y": tf.matmul(x, w) * k, "sum": tf.reduce_sum(x)}

    plan = fh.plan_function(predict, verify=True)
    assert_proved([plan.write(str(tmp_path / "m.pb"))])
    w.assign_add(tf.ones_like(w))
    assert_proved([plan.write(str(tmp_path / "m.pb"))])


@pytest.mark.skipif(TF1, reason="Keras builds a graph there")
@pytest.mark.parametrize("kind", KERASES)
@pytest.mark.parametrize(
    "traced, message", [(lambda x: x * 2, "differs from"), (lambda x: x[:1], "has the shape")]
)
def test_a_layer_that_does_otherwise_when_it_is_traced(traced, message, kind, tmp_path):
    """Keras 3.15's TimeDistributed is such a layer, if batch and time are open."""
    keras = keras_of(kind)

    class Fickle(keras.layers.Layer):
        def call(self, inputs):
            return inputs if tf.executing_eagerly() else traced(inputs)

    inputs = keras.Input([3], name="x")
    model = keras.Model(inputs, Fickle(name="y")(inputs))
    with pytest.raises(fh.NotVerifiedError, match=f"'y' {message}"):
        fh.freeze_keras_model(model, str(tmp_path / "m.pb"), verify=True)
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.skipif(not HAS_KERAS_3, reason="needs Keras 3")
def test_recurrent_model(tmp_path):
    import keras

    inputs = keras.Input([5, 3], name="series")
    model = keras.Model(inputs, keras.layers.LSTM(4, name="lstm")(inputs))
    assert_proved([fh.freeze_keras_model(model, str(tmp_path / "m.pb"), verify=True)])

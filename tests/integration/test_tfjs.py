"""TensorFlow.js answers as the live model does: npm's @tensorflow/tfjs in node, and in a page.

`pytest -s` prints the differences.
"""

import base64
import functools
import http.server
import importlib.util
import os
import shutil
import threading

import chromium
import numpy as np
import pytest
import started
import tensorflow as tf
import tfjs
from control_flow import control_flow
from fitting import HAS_KERAS_3, KERASES, keras_of
from places import PROGRAMS, ROOT
from sklearn.datasets import load_digits

import freeze_hooks as fh

v1 = tf.compat.v1
TOLERANCE = 1e-5
RANDOM = np.random.RandomState(0)


def module(path):
    """A Python file as a module."""
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def compare(path, feeds, wanted, tolerance=TOLERANCE, sync=False):
    """Compare all outputs of a model in node with the live ones."""
    found = tfjs.answers(path, feeds, list(wanted), sync)
    assert all(np.unique(value).size > 2 for value in wanted.values() if np.size(value) > 2)
    apart = {name: tfjs.apart(found[name], np.asarray(value)) for name, value in wanted.items()}
    print(path, apart)
    assert max(apart.values()) <= tolerance, apart


def test_the_list_of_ops_is_that_of_the_package():
    lines = module(os.path.join(PROGRAMS, "tfjs_ops.py")).lines(tfjs.node_modules())
    path = os.path.join(os.path.dirname(fh.__file__), "graph", "tfjs_ops.txt")
    with open(path, encoding="utf-8") as file:
        assert file.read().splitlines() == list(lines)


def test_digits_of_a_session(tmp_path):
    """A conv net whose training graph has conditionals, batch norm, dropout and tf.data."""
    example = module(os.path.join(ROOT, "examples", "digits_monitored_session.py"))
    x_train, x_test, y_train, _ = example.digits()
    with tf.Graph().as_default():
        v1.set_random_seed(1)
        images = v1.placeholder(tf.float32, [None, 8, 8, 1], "image")
        is_training = v1.placeholder(tf.bool, [], "is_training")
        probs, logits = example.network(images, is_training)
        loss = v1.losses.sparse_softmax_cross_entropy(y_train[:64], logits)
        step = v1.train.get_or_create_global_step()
        train_op = v1.train.AdamOptimizer(2e-3).minimize(loss, global_step=step)
        hook = fh.FreezeHook(
            outputs={"probs": probs},
            bind={is_training: False},
            format="tfjs",
            verify=True,
            strict=True,
        )
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=str(tmp_path), save_checkpoint_steps=10, hooks=[hook]
        ) as session:
            for _ in range(10):
                session.run(train_op, {images: x_train[:64], is_training: True})
            live = session.run(probs, {images: x_test, is_training: False})
    artifact = hook.artifacts[-1]
    assert artifact.path == str(tmp_path / "model.ckpt-10.tfjs")
    assert artifact.max_difference <= 1e-6
    compare(artifact.path, {"image": x_test}, {"probs": live}, sync=True)


def fitted(model, x, y, directory, loss="sparse_categorical_crossentropy", **how):
    """Train for an epoch with FreezeCallback; return the Artifact and the live answers to x."""
    model.compile("adam", loss)
    callback = fh.FreezeCallback(str(directory), format="tfjs", strict=True, verify=True, **how)
    model.fit(x, y, epochs=1, callbacks=[callback], verbose=0)
    (artifact,) = callback.artifacts
    (given,), (output,) = artifact.signature.inputs, artifact.signature.outputs
    feeds = x[:4]
    return artifact, {given.name: feeds}, {output.name: model.predict(feeds)}


@pytest.mark.parametrize("weights", [None, "float16"])
def test_mobilenet(weights, tmp_path):
    keras = keras_of(KERASES[0])
    net = keras.applications.MobileNetV2(
        weights=None, input_shape=(96, 96, 3), include_top=False, pooling="avg"
    )
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.1  # else the answers of the first steps vanish
    scores = keras.layers.Dense(5, activation="softmax", name="scores")(net.outputs[0])
    model = keras.Model(net.inputs, scores)
    x, y = RANDOM.rand(8, 96, 96, 3).astype(np.float32), np.arange(8) % 5
    artifact, feeds, live = fitted(model, x, y, tmp_path / "model", weights=weights)
    if weights is None:
        compare(artifact.path, feeds, live, sync=True)
        return
    assert artifact.bytes < 2.2 * model.count_params() + 500e3
    compare(artifact.path, feeds, live, 0.05, sync=True)
    with fh.load_frozen(artifact.path) as frozen:  # the same rounded weights
        compare(artifact.path, feeds, frozen(feeds), sync=True)


def test_an_lstm(tmp_path):
    keras = keras_of(KERASES[0])
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((12,), dtype="int32", name="words"),
            layers.Embedding(50, 8),
            layers.LSTM(16, return_sequences=True),
            layers.LSTM(8),
            layers.Dense(3, activation="softmax", name="probs"),
        ]
    )
    x, y = RANDOM.randint(0, 50, (16, 12)).astype(np.int32), np.arange(16) % 3
    artifact, feeds, live = fitted(model, x, y, tmp_path / "model")
    compare(artifact.path, feeds, live)


def test_a_model_of_texts(tmp_path):
    """Ids of words, self-attention with a residual and layer norm, and a mean."""
    keras = keras_of(KERASES[0])
    layers = keras.layers
    words = keras.Input((10,), dtype="int32", name="words")
    x = layers.Embedding(50, 16)(words)
    if hasattr(layers, "MultiHeadAttention"):
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 8)(x, x))
    if HAS_KERAS_3:
        x = x + layers.Dense(16, activation="gelu")(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(words, layers.Dense(3, activation="softmax", name="probs")(x))
    x, y = RANDOM.randint(0, 50, (16, 10)).astype(np.int32), np.arange(16) % 3
    artifact, feeds, live = fitted(model, x, y, tmp_path / "model")
    compare(artifact.path, feeds, live, sync=True)


@pytest.mark.parametrize("v2", [False, True], ids=["v1", "v2"])
def test_conditionals_and_loops(v2, tmp_path):
    """Branches of constants alone, a loop with an invariant, a loop in a branch."""
    with tf.Graph().as_default(), control_flow(v2=v2):
        v1.set_random_seed(1)
        x = v1.placeholder(tf.float32, [None, 4], "x")
        w = v1.get_variable("w", [4, 4])
        total = tf.reduce_sum(x)
        constant = tf.cond(total > 0, lambda: tf.constant(2.0) + 1, lambda: tf.constant(-1.0))

        def grown():
            return tf.while_loop(
                lambda i, y: i < 3, lambda i, y: (i + 1, tf.tanh(tf.matmul(y, w))), [0, x]
            )[1]

        branch = tf.cond(total > 0, grown, lambda: x * constant)

        def nested(i, y):
            inner = tf.while_loop(lambda j, z: j < i, lambda j, z: (j + 1, z * 0.5 + 1), [0, y])
            return i + 1, inner[1] + tf.constant(0.25)

        outer = tf.while_loop(lambda i, y: i < 4, nested, [0, tf.matmul(x, w)])[1]
        counted = tf.while_loop(
            lambda i, n: i < 5,
            lambda i, n: (i + 1, tf.constant(2.0) * tf.constant(3.0)),
            [0, total],
        )[1]
        outputs = {"constant": constant, "branch": branch, "outer": outer, "counted": counted}
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            artifact = fh.freeze_session(
                session, str(tmp_path / "model"), outputs, format="tfjs", verify=True
            )
            for sign in (1, -1):
                value = sign * np.abs(RANDOM.randn(3, 4).astype(np.float32))
                live = session.run(outputs, {x: value})
                compare(artifact.path, {"x": value}, live)
                with fh.load_frozen(artifact.path) as frozen:
                    for name, found in frozen(x=value).items():
                        np.testing.assert_allclose(found, live[name], rtol=1e-6)


def test_integers_and_several_shards(graph, tmp_path):
    """int64 becomes int32, uint8 is fed as int32, and weights cross the shards' borders."""
    image = v1.placeholder(tf.uint8, [None, 5], "image")
    ids = v1.placeholder(tf.int64, [None], "ids")
    table = v1.get_variable("table", [40, 7])
    offsets = v1.get_variable("offsets", initializer=np.arange(40, dtype=np.int64), trainable=False)
    moved = tf.math.floormod(ids + tf.gather(offsets, ids), 40)
    rows = tf.gather(table, moved)
    scaled = tf.cast(tf.reverse(image, [1]), tf.float32) / 255
    outputs = {"rows": rows, "moved": moved, "scaled": scaled, "mask": moved > 20}
    form = fh.TFJS(shard_bytes=100)
    value = {"image": RANDOM.randint(0, 256, (2, 5)).astype(np.uint8), "ids": [3, 39, 0]}
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        path = str(tmp_path / "model")
        fh.freeze_session(session, path, outputs, format=form, verify=True)
        live = session.run(outputs, {image: value["image"], ids: value["ids"]})
    shards = sorted(name for name in os.listdir(path) if name.endswith(".bin"))
    assert len(shards) > 12 and shards[0] == f"group1-shard10of{len(shards)}.bin"
    found = tfjs.answers(path, value, list(outputs), sync=True)
    assert found["moved"].dtype == np.int32 and found["mask"].dtype == bool
    for name, wanted in live.items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-6)


def test_a_graph_without_weights(graph, tmp_path):
    x = v1.placeholder(tf.float32, [None, 4], "x")
    with v1.Session() as session:
        fh.freeze_session(session, str(tmp_path / "m"), {"y": -x}, format="tfjs")
    value = np.arange(8.0).reshape(2, 4)
    compare(tmp_path / "m", {"x": value}, {"y": -value}, sync=True)


def test_optimized(graph, tmp_path):
    """Batch norms folded into the convolutions before them."""
    x = v1.placeholder(tf.float32, [None, 8, 8, 1], "x")
    kernel = v1.get_variable("kernel", [3, 3, 1, 4])
    scale, offset = v1.get_variable("scale", [4]), v1.get_variable("offset", [4])
    variance = v1.get_variable("variance", initializer=np.full(4, 0.5, np.float32))
    y = v1.nn.conv2d(x, kernel, strides=[1, 1, 1, 1], padding="SAME")
    y = v1.nn.fused_batch_norm(y, scale, offset, offset, variance, is_training=False)[0]
    value = RANDOM.rand(2, 8, 8, 1).astype(np.float32)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        path = str(tmp_path / "m")
        fh.freeze_session(session, path, {"y": y}, format="tfjs", optimize=True, verify=True)
        live = session.run(y, {x: value})
    assert "FusedBatchNormV3" not in fh.inspect(path).ops
    compare(path, {"x": value}, {"y": live}, sync=True)


class Server(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *said):
        pass


@chromium.needed
@pytest.mark.skipif(not HAS_KERAS_3, reason="the example is for Keras 3")
def test_the_example_page(tmp_path):
    """It shows the digits that the data set has; PAGE=picture.png saves what it looks like."""
    source, modules = os.path.join(ROOT, "examples", "browser"), tfjs.node_modules()
    for name in ("index.html", "digits.js"):
        shutil.copy(os.path.join(source, name), str(tmp_path))
    os.symlink(modules, str(tmp_path / "node_modules"))
    out = started.run([os.path.join(source, "train.py"), str(tmp_path)], tmp_path).stdout
    assert float(out.split()[-1]) > 0.95
    images, labels = load_digits().images / 16, load_digits().target
    handler = functools.partial(Server, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/"
        with chromium.Page(tmp_path / "profile", address) as page, fh.load_frozen(
            tmp_path / "model"
        ) as frozen:
            page.wait_for("document.getElementById('state')?.textContent == 'The model is there.'")
            answers, right = frozen(images[:20, ..., None])["digit"], 0
            for image, label, wanted in zip(images, labels, answers):
                page.value(f"paint({image.reshape(-1).tolist()})")
                found = page.value("classify()")
                assert page.value("document.getElementById('digit').value") == str(wanted.argmax())
                np.testing.assert_allclose(found, wanted, atol=0.02)
                right += int(wanted.argmax() == label)
            assert right >= 18
            if "PAGE" in os.environ:
                page.value(f"paint({images[7].reshape(-1).tolist()}), classify()")
                save_picture(page, os.environ["PAGE"])
    finally:
        server.shutdown()


def save_picture(page, path):
    size = {"width": 640, "height": 520, "deviceScaleFactor": 1, "mobile": False}
    page.ask("Emulation.setDeviceMetricsOverride", **size)
    with open(path, "wb") as file:
        file.write(base64.b64decode(page.ask("Page.captureScreenshot")["data"]))

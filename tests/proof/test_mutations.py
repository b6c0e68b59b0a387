"""A proof finds each fault that is built into a plan (tests/support/mutants.py) or its values.

No file with a fault may pass.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from mutants import (
    Editing,
    baked_batch,
    build_in,
    dropped_update,
    input_cast,
    outputs_swapped,
    remember_values,
    replace,
    rounded_ids,
    transposed_constant,
    wrong_branch,
    wrong_output_dtype,
    wrong_table_entry,
    wrong_variable,
)

import freeze_hooks as fh
from freeze_hooks.sources import session as source

v1 = tf.compat.v1
TF1 = tf.__version__.startswith("1.")
WORDS = ["one", "two", "three", "four"]
RANDOM = np.random.RandomState(3)
# float32 cannot hold these odd ids: it rounds them to even ones, which are other rows of the table.
SAMPLE = {
    "x": RANDOM.randn(5, 8).astype(np.float32),
    "ids": np.arange(2**24 + 1, 2**24 + 11, 2),
    "word": np.array([b"two", b"one", b"four", b"three", b"two"], object),
}
SAMPLE["ids"] = SAMPLE["ids"][:5]
ENDS = {
    "inputs": {"x": "x:0", "ids": "ids:0", "word": "word:0"},
    "outputs": {"probs": "probs:0", "scores": "scores:0"},
    "bind": {"training:0": False},
}
OF_THE_GRAPH = {
    "input cast": input_cast,
    "wrong variable": wrong_variable,
    "transposed constant": transposed_constant,
    "wrong branch": wrong_branch,
    "outputs swapped": outputs_swapped,
    "wrong dtype of output": wrong_output_dtype,
}


def variable(name, shape):
    start = v1.glorot_uniform_initializer(seed=len(name) + 5)
    return v1.get_variable(name, shape, initializer=start)


def table():
    keys, values = tf.constant(WORDS), tf.constant([3, 5, 7, 11], tf.int64)
    lookup = tf.lookup
    return lookup.StaticHashTable(lookup.KeyValueTensorInitializer(keys, values), -1)


def network(x, ids, word, training):
    """Return two outputs of one shape, computed with everything that a fault may change."""
    h = tf.where(x > 0, x, 0.25 * x)
    h = tf.matmul(tf.matmul(h, variable("a", [8, 8])), variable("bb", [8, 8]))
    h += tf.gather(variable("rows", [97, 8]), tf.math.floormod(ids, 97))
    h += tf.cast(table().lookup(word), tf.float32)[:, tf.newaxis] * 0.1
    h = tf.cond(training, lambda: 3 * h, lambda: tf.identity(h))
    probs = tf.nn.softmax(tf.matmul(h, variable("head", [8, 3])))
    scores = tf.nn.softmax(tf.matmul(h, variable("second", [8, 3])))
    return tf.identity(probs, "probs"), tf.identity(scores, "scores")


def inference(resource=False):
    """Build the network on placeholders."""
    x = v1.placeholder(tf.float32, [None, 8], "x")
    ids = v1.placeholder(tf.int64, [None], "ids")
    word = v1.placeholder(tf.string, [None], "word")
    training = v1.placeholder(tf.bool, [], "training")
    with v1.variable_scope(v1.get_variable_scope(), use_resource=resource):
        return network(x, ids, word, training)


def build(resource):
    probs, scores = inference(resource)
    loss = tf.reduce_mean(tf.square(probs - 0.1)) + tf.reduce_mean(tf.square(scores - 0.2))
    step = v1.train.get_or_create_global_step()
    return v1.train.GradientDescentOptimizer(5.0).minimize(loss, global_step=step)


class InSession:
    """A training in a session; `freeze` freezes its present state."""

    def __init__(self, resource=True):
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._train_op = build(resource)
            start = [v1.global_variables_initializer(), v1.tables_initializer()]
            self.saver = v1.train.Saver()
        self.session = v1.Session(graph=self._graph)
        self.session.run(start)

    def train(self):
        fed = {name + ":0": value for name, value in SAMPLE.items()}
        for _ in range(3):
            self.session.run(self._train_op, {"training:0": True, **fed})

    def freeze(self, path, verify):
        with self._graph.as_default():
            return fh.freeze_session(self.session, path, verify=verify, **ENDS)


class ByHook:
    """Each `freeze` is a separate training, with a file at the start and after each step."""

    def train(self):
        pass

    def freeze(self, path, verify):
        hook = fh.FreezeHook(verify=verify, strict=True, **ENDS)
        fed = {name + ":0": value for name, value in SAMPLE.items()}
        with tf.Graph().as_default():
            train_op = build(resource=False)
            with v1.train.MonitoredTrainingSession(
                checkpoint_dir=path[: -len(".pb")], save_checkpoint_steps=1, hooks=[hook]
            ) as session:
                for _ in range(2):
                    session.run(train_op, {"training:0": True, **fed})
        return hook.artifacts[-1]


class OfReferences(InSession):
    """Reference variables, TensorFlow 1's default."""

    def __init__(self):
        super().__init__(resource=False)


class ByInferenceFn(InSession):
    def freeze(self, path, verify):
        with self._graph.as_default():
            return fh.freeze_session(
                self.session, path, inference_fn=inference, verify=verify, **ENDS
            )


class BySaver(InSession):
    def freeze(self, path, verify):
        with self._graph.as_default():
            saver = fh.FreezingSaver(verify=verify, strict=True, **ENDS)
            saver.save(self.session, path[: -len(".pb")])
        return saver.artifacts[-1]


class OfCheckpoint(InSession):
    def freeze(self, path, verify):
        with self._graph.as_default():
            prefix = self.saver.save(self.session, path[: -len(".pb")])
        return fh.freeze_checkpoint(prefix, path, verify=verify, **ENDS)


class OfSavedModel(InSession):
    def freeze(self, path, verify):
        directory = path[: -len(".pb")]
        tensor = self._graph.get_tensor_by_name
        inputs = {name: tensor(name + ":0") for name in ("x", "ids", "word", "training")}
        outputs = {name: tensor(name + ":0") for name in ("probs", "scores")}
        with self._graph.as_default():
            self._graph.clear_collection(v1.saved_model.constants.MAIN_OP_KEY)  # the last save's
            self._graph.clear_collection(v1.saved_model.constants.LEGACY_INIT_OP_KEY)
            v1.saved_model.simple_save(
                self.session, directory, inputs, outputs, v1.tables_initializer()
            )
        bind = {"training": False}
        return fh.freeze_saved_model(directory, path, bind=bind, verify=verify)


class Net(tf.Module):
    """The network as a tf.Module with its own variables; it counts its calls."""

    def __init__(self):
        super().__init__()
        shapes = {"a": [8, 8], "bb": [8, 8], "rows": [97, 8], "head": [8, 3], "second": [8, 3]}
        random = np.random.RandomState(4)
        for name, shape in shapes.items():
            start = random.randn(*shape).astype(np.float32)
            setattr(self, name, tf.Variable(start, name=name))
        self.calls = tf.Variable(0.0, name="calls")
        self.table = table()

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 8], tf.float32, "x"),
            tf.TensorSpec([None], tf.int64, "ids"),
            tf.TensorSpec([None], tf.string, "word"),
        ]
    )
    def answer(self, x, ids, word):
        h = tf.where(x > 0, x, 0.25 * x)
        h = tf.matmul(tf.matmul(h, self.a), self.bb)
        h += tf.gather(self.rows, tf.math.floormod(ids, 97))
        h += tf.cast(self.table.lookup(word), tf.float32)[:, tf.newaxis] * 0.1
        return {
            "probs": tf.nn.softmax(tf.matmul(h, self.head)),
            "scores": tf.nn.softmax(tf.matmul(h, self.second)),
        }

    @tf.function(input_signature=[tf.TensorSpec([None, 8], tf.float32, "x")])
    def counted(self, x):
        self.calls.assign(self.calls + 1.0)
        return {"probs": tf.matmul(x, self.a) * self.calls}


class OfFunction:
    """A tf.function of a tf.Module."""

    def __init__(self):
        self.net = Net()
        self.function = self.net.answer

    def train(self):
        for variable in self.net.trainable_variables:
            variable.assign(variable * 0.5 + 0.1)

    def freeze(self, path, verify):
        return fh.freeze_function(self.function, path, verify=verify)


class OfSavedFunction(OfFunction):
    """The function, saved as a SavedModel of TensorFlow 2."""

    def freeze(self, path, verify):
        directory = path[: -len(".pb")]
        signatures = {"serving_default": self.function}
        tf.saved_model.save(self.net, directory, signatures)
        return fh.freeze_saved_model(directory, path, verify=verify)


GRAPHS = [InSession, OfReferences, ByHook, BySaver, ByInferenceFn, OfCheckpoint, OfSavedModel]
FUNCTIONS = [] if TF1 else [OfFunction, OfSavedFunction]  # TensorFlow 1.15 is not eager here
ROUTES = GRAPHS + FUNCTIONS


def names_of(routes):
    return [route.__name__ for route in routes]


@pytest.fixture(scope="module", params=ROUTES, ids=names_of(ROUTES))
def route(request):
    return request.param()


@pytest.fixture(scope="module", params=GRAPHS, ids=names_of(GRAPHS))
def in_graph(request):
    return request.param()


NOT_EAGER = pytest.mark.skip(reason="TensorFlow 1.15 runs no function eagerly here")


@pytest.fixture(
    scope="module",
    params=FUNCTIONS or [pytest.param(None, marks=NOT_EAGER)],
    ids=names_of(FUNCTIONS) or ["OfFunction"],
)
def in_function(request):
    return request.param()


def assert_refused(route, directory, verify):
    with pytest.raises(fh.NotVerifiedError):
        route.freeze(str(directory / "wrong.pb"), verify)
    assert not (directory / "wrong.pb").exists()


def test_without_a_fault(route, tmp_path):
    for verify in (True, SAMPLE):
        route.train()
        artifact = route.freeze(str(tmp_path / f"{verify is True}.pb"), verify)
        assert artifact.max_difference < 1e-5


@pytest.mark.parametrize("name", OF_THE_GRAPH)
@pytest.mark.parametrize("verify", [True, SAMPLE], ids=["random", "given"])
def test_faults_of_the_graph(name, verify, route, tmp_path, monkeypatch):
    build_in(monkeypatch, OF_THE_GRAPH[name])
    assert_refused(route, tmp_path, verify)


@pytest.mark.parametrize("name", OF_THE_GRAPH)
@pytest.mark.parametrize("kind", [InSession, ByHook, *FUNCTIONS[:1]])
def test_the_first_file_finds_them_too(name, kind, tmp_path, monkeypatch):
    """`verify="first"` proves the first file of a plan like `verify=True`."""
    build_in(monkeypatch, OF_THE_GRAPH[name])
    assert_refused(kind(), tmp_path, "first")


def test_a_wrong_table_entry(route, tmp_path, monkeypatch):
    """Only the sample finds it: random words are not in the table."""
    build_in(monkeypatch, wrong_table_entry)
    assert_refused(route, tmp_path, SAMPLE)


def test_rounded_ids(route, tmp_path, monkeypatch):
    """Only the sample finds it: random ids are small, and rounding does not change them."""
    build_in(monkeypatch, rounded_ids)
    assert_refused(route, tmp_path, SAMPLE)


@pytest.mark.parametrize("verify, size", [(True, 2), (SAMPLE, 5)], ids=["random", "given"])
def test_a_batch_size_that_is_baked_in(verify, size, route, tmp_path, monkeypatch):
    build_in(monkeypatch, lambda plan: baked_batch(plan, size))
    assert_refused(route, tmp_path, verify)


def test_training_mode(in_graph, tmp_path, monkeypatch):
    right = source.compile_plan

    def wrong(graph_def, spec, *args, **more):
        flipped = tuple((tensor, not value) for tensor, value in spec.bind)
        return right(graph_def, dataclasses.replace(spec, bind=flipped), *args, **more)

    replace(monkeypatch, "compile_plan", wrong)
    assert_refused(in_graph, tmp_path, SAMPLE)


def test_each_signature_has_its_own_proof(graph, tmp_path, monkeypatch):
    """The fault is in a node that only the further signature needs."""
    x = v1.placeholder(tf.float32, [None, 8], name="x")
    h = tf.matmul(x, variable("a", [8, 8]), name="h")
    tf.multiply(h, 3.0, name="more")
    asked = {"outputs": ["h"], "signatures": {"more": ["more"]}}

    def wrong(plan):
        editing = Editing(plan)
        editing.node("more").op = "AddV2"
        return editing.plan()

    for form in ("pb", "saved_model"):
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            path = str(tmp_path / form)
            fh.freeze_session(session, path, verify=True, format=form, **asked)
            with monkeypatch.context() as patched:
                build_in(patched, wrong)
                with pytest.raises(fh.NotVerifiedError, match="its output 'more: more' differs"):
                    fh.freeze_session(session, path, verify=True, format=form, **asked)


def test_a_dropped_update(in_function, tmp_path, monkeypatch):
    """The function adds to a variable before it reads it; the plan leaves that out."""
    in_function.function = in_function.net.counted
    given = {"x": SAMPLE["x"]}
    calls = float(in_function.net.calls.numpy())
    artifact = in_function.freeze(str(tmp_path / "right.pb"), given)
    assert artifact.max_difference < 1e-5
    assert float(in_function.net.calls.numpy()) == calls
    build_in(monkeypatch, dropped_update)
    assert_refused(in_function, tmp_path, given)


class OneHook:
    """One hook of a training with changing values: its later files run in a graph that stays."""

    def files(self, directory, verify, steps):
        hook = fh.FreezeHook(verify=verify, **ENDS)
        fed = {name + ":0": value for name, value in SAMPLE.items()}
        with tf.Graph().as_default():
            train_op = build(resource=True)
            with v1.train.MonitoredTrainingSession(
                checkpoint_dir=str(directory), save_checkpoint_steps=1, hooks=[hook]
            ) as session:
                for _ in range(steps):
                    session.run(train_op, {"training:0": True, **fed})
        return hook.artifacts


class OnePlan:
    """One plan of a function."""

    def files(self, directory, verify, steps):
        net = Net()
        plan, found = fh.plan_function(net.answer, verify=verify), []
        for step in range(steps + 1):
            try:
                found.append(plan.write(str(directory / f"{step}.pb")))
            except fh.NotVerifiedError:
                break
            for variable in net.trainable_variables:
                variable.assign(variable * 0.5 + 0.1)
        return found


@pytest.mark.parametrize("verify", [True, SAMPLE], ids=["random", "given"])
@pytest.mark.parametrize("kind", [OneHook] if TF1 else [OneHook, OnePlan])
def test_stale_values_of_a_later_file(kind, verify, tmp_path, monkeypatch, warnings_logged):
    """The first file is right; later ones have its values."""
    (tmp_path / "right").mkdir()
    assert len(kind().files(tmp_path / "right", verify, 3)) == 4
    remember_values(monkeypatch)
    assert len(kind().files(tmp_path, verify, 3)) == 1


@pytest.mark.parametrize("verify", [True, SAMPLE], ids=["random", "given"])
def test_stale_values(verify, route, tmp_path, monkeypatch):
    """Every file gets the values that were read for the first file."""
    remember_values(monkeypatch)
    with pytest.raises(fh.NotVerifiedError):
        route.freeze(str(tmp_path / "first.pb"), verify)
        route.train()
        route.freeze(str(tmp_path / "stale.pb"), verify)

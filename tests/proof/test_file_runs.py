"""Files after the first one run in a graph that stays; each proof is as strong as the first."""

import copy
import os
import threading

import numpy as np
import pytest
import tensorflow as tf
from fitting import DIGITS, KERASES, TF1, classifier, fit, keras_of
from small import FEEDS, FREEZE, build

import freeze_hooks as fh
from freeze_hooks.proof import file_runs
from freeze_hooks.proof.file_runs import FileRuns, OpenFile
from freeze_hooks.proof.proof import Proof

v1 = tf.compat.v1
WORDS = ["a", "b", "c"]
VALUES = np.arange(3, dtype=np.float32)


@pytest.fixture
def imports(monkeypatch):
    """Return a list that gets the path of each file that is imported."""
    found, right = [], file_runs._import_whole
    monkeypatch.setattr(
        file_runs, "_import_whole", lambda path, data: (found.append(path), right(path, data))[1]
    )
    return found


@pytest.fixture
def runs(monkeypatch):
    """Return a list that gets the number of batches of each run of a file."""
    found, right = [], OpenFile.run

    def noted(self, batches, fetches):
        found.append(len(batches))
        return right(self, batches, fetches)

    monkeypatch.setattr(OpenFile, "run", noted)
    return found


def dense(x):
    """Return weights, a scalar, a step and a string that training changes."""
    y = tf.matmul(x, v1.get_variable("w", [4, 3])) * v1.get_variable("scale", [])
    step = v1.get_variable("step", initializer=tf.constant(0, tf.int64), trainable=False)
    text = v1.get_variable("text", initializer=tf.constant("0"), trainable=False)
    updates = [v.assign_add(0.3 * tf.ones_like(v)) for v in v1.trainable_variables()]
    later = step.assign_add(1)
    updates += [later, text.assign(tf.as_string(tf.identity(later)))]
    return {"y": y, "step": step + 0, "text": tf.identity(text)}, updates


def loop(x):
    """Return a recurrent loop of TensorFlow 1, whose weights change."""
    w = v1.get_variable("w", [4, 4])
    step = lambda i, h: (i + 1, tf.tanh(tf.matmul(h, w)))  # noqa: E731
    size = {"shape_invariants": [tf.TensorShape([]), tf.TensorShape([None, 4])]}
    _, y = tf.while_loop(lambda i, h: i < 5, step, [0, x], **size)
    return {"y": y}, [w.assign_add(0.1 * tf.ones_like(w))]


def static_table(x):
    """Return lookups in a table that stays, scaled by a weight."""
    rows = tf.lookup.KeyValueTensorInitializer(tf.constant(WORDS), tf.constant(VALUES))
    found = tf.lookup.StaticHashTable(rows, -1.0).lookup(x)
    w = v1.get_variable("w", [1])
    return {"y": found * w}, [w.assign_add([0.5])]


def mutable_table(x):
    """Return lookups in a table that training changes."""
    from tensorflow.python.ops import lookup_ops

    table = lookup_ops.MutableHashTable(tf.string, tf.float32, -1.0)
    step = v1.get_variable("step", [], initializer=v1.zeros_initializer())
    with tf.control_dependencies([step.assign_add(1.0)]):
        more = table.insert(tf.constant(WORDS), VALUES + step.read_value())
    y = table.lookup(x)
    return {"y": y * v1.get_variable("w", [])}, [more]


NETS = [dense, loop, static_table, mutable_table]


class Training:
    """A session whose values change between its files, all written by one Saver."""

    def __init__(self, net, verify, directory, **more):
        v1.set_random_seed(3)
        words = net in (static_table, mutable_table)
        x = v1.placeholder(tf.string if words else tf.float32, [None] if words else [None, 4], "x")
        with v1.variable_scope("net", use_resource=True):
            outputs, self._updates = net(x)
        self._directory = directory
        if words:
            feeds = {"x": [b"a", b"c", b"b", b"other"]}
            verify = fh.Verify(feeds, first_only=verify == "first")
        self.saver = fh.FreezingSaver(outputs=outputs, verify=verify, strict=True, **more)
        self.session = v1.Session()
        self.session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        self.session.run(self._updates)
        self._count = 0

    def save(self):
        """Write a file, then train; return its Artifact."""
        self._count += 1
        self.saver.save(self.session, str(self._directory / "model"), self._count)
        self.session.run(self._updates)
        return self.saver.artifacts[-1]


def constants_of(path):
    with open(path, "rb") as file:
        nodes = v1.GraphDef.FromString(file.read()).node
    return {n.name: n.attr["value"].tensor.SerializeToString() for n in nodes if n.op == "Const"}


@pytest.mark.parametrize("net", NETS)
def test_later_files_are_not_imported(net, graph, tmp_path, imports, runs):
    """A file is imported again when something changes that was no feed so far, such as a scalar."""
    training = Training(net, True, tmp_path)
    artifacts = [training.save() for _ in range(5)]
    assert all(artifact.max_difference < 1e-5 for artifact in artifacts)
    found = [constants_of(artifact.path) for artifact in artifacts]
    assert all(one != other for one, other in zip(found, found[1:]))
    assert len(imports) == (2 if net in (dense, mutable_table) else 1)
    assert runs[0] == 2 and runs[-1] == 1  # other sizes prove a layout, not values


def callback_in(directory, verify):
    """Return a callback that proves each file before the next epoch begins."""
    path = str(directory / "{epoch}.pb")
    return fh.FreezeCallback(path, verify=verify, strict=True, save_on_background=False)


@pytest.mark.parametrize("kind", KERASES)
def test_later_files_of_a_callback(kind, tmp_path, imports):
    callback = callback_in(tmp_path, True)
    fit(classifier(keras_of(kind)), callbacks=[callback], epochs=4)
    assert len(callback.artifacts) == 4 and len(imports) == 1
    assert all(artifact.max_difference < 1e-4 for artifact in callback.artifacts)


def flipping(monkeypatch, place_of, change=1):
    """Change one byte of each complete file before it is proved."""
    right = Proof.check

    def check(self, temporary, digest):
        with open(temporary, "r+b") as file:
            place = place_of(file.read())
            file.seek(place)
            old = file.read(1)[0]
            file.seek(place)
            file.write(bytes([old ^ change]))
        return right(self, temporary, digest)

    monkeypatch.setattr(Proof, "check", check)


def in_a_weight(data):
    """Return the place of the least significant byte of a weight, too small for any tolerance."""
    node = next(n for n in v1.GraphDef.FromString(data).node if n.name == "net/w")
    return data.index(node.attr["value"].tensor.tensor_content)


def in_a_header(data):
    return data.index(b"net/w") + len(b"net/")


def in_a_table(data):
    return data.index(b"\x42\x01a\x42\x01b\x42\x01c") + 8  # TensorProto.string_val


def in_the_description(data):
    return data.index(b'"metrics"') + 3


PLACES = [in_a_weight, in_a_header, in_a_table, in_the_description]


@pytest.mark.parametrize("later", [False, True], ids=["first file", "later file"])
@pytest.mark.parametrize("verify", [True, "first"])
@pytest.mark.parametrize("place", PLACES)
def test_a_flipped_byte(place, verify, later, graph, tmp_path, monkeypatch):
    training = Training(static_table, verify, tmp_path)
    for _ in range(2 if later else 0):
        training.save()
    before = sorted(os.listdir(str(tmp_path)))
    flipping(monkeypatch, place)
    with pytest.raises(fh.NotVerifiedError, match="read back with the hash"):
        training.save()
    names = sorted(os.listdir(str(tmp_path)))
    assert [n for n in names if ".pb" in n] == [n for n in before if ".pb" in n]


def as_written(monkeypatch):
    """Make the hash of each damaged file the one that the proof expects."""
    right = Proof.check
    monkeypatch.setattr(
        Proof,
        "check",
        lambda self, temporary, _: right(self, temporary, file_runs.digest_of(temporary)),
    )


@pytest.mark.parametrize("later", [False, True], ids=["first file", "later file"])
@pytest.mark.parametrize("place, change", [(in_a_table, 3), (in_a_weight, 0), (in_a_header, 1)])
def test_answers_find_what_a_hash_would_not(place, change, later, graph, tmp_path, monkeypatch):
    """A value that is wrong before it is hashed gives a wrong answer, in a later file too."""
    training = Training(static_table, True, tmp_path)
    for _ in range(2 if later else 0):
        training.save()
    as_written(monkeypatch)
    if place is in_a_weight:  # its sign, which stands in the last byte
        flipping(monkeypatch, lambda data: in_a_weight(data) + 3, 0x80)
    else:
        flipping(monkeypatch, place, change)
    with pytest.raises(fh.NotVerifiedError, match=r"differs from|cannot be run|has the"):
        training.save()


def test_a_table_of_a_later_file_is_its_own(graph, tmp_path, monkeypatch):
    """A session does not fill a table twice, so each file with other entries gets a new one."""
    training = Training(mutable_table, True, tmp_path)
    for _ in range(3):
        training.save()
    live = training.session.run
    assert training.save().max_difference < 1e-5
    from freeze_hooks.values.session_reads import SessionValues

    first = list(SessionValues.read(training.saver._delivery._live._live, training.session))
    monkeypatch.setattr(SessionValues, "read", lambda *_: iter(first))
    live(training._updates)
    with pytest.raises(fh.NotVerifiedError, match="differs from"):
        training.save()


@pytest.mark.parametrize("background", [False, True])
def test_first(background, graph, tmp_path, runs):
    """Later files are read back and not run; the difference is noted in the first one alone."""
    train_op = build()
    hook = fh.FreezeHook(
        verify="first", save_on_background=background, strict=True, keep=9, **FREEZE
    )
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path), save_checkpoint_steps=2, hooks=[hook]
    ) as session:
        for _ in range(6):
            session.run(train_op, FEEDS)
            for artifact in hook.artifacts:  # waits for the file
                assert os.path.exists(artifact.path)
    differences = [artifact.max_difference for artifact in hook.artifacts]
    assert differences[0] < 1e-5 and set(differences[1:]) == {None} and len(differences) == 4
    assert len(runs) == 1
    noted = [fh.inspect(a.path).metadata.get("max_difference") for a in hook.artifacts]
    assert noted == differences


@pytest.mark.parametrize("kind", KERASES)
def test_first_of_a_callback(kind, tmp_path, runs):
    callback = callback_in(tmp_path, "first")
    model = classifier(keras_of(kind))
    fit(model, callbacks=[callback], epochs=3)
    assert len(callback.artifacts) == 3 and len(runs) == 1
    assert [a.max_difference is None for a in callback.artifacts] == [False, True, True]


@pytest.mark.skipif(TF1, reason="functions are traced eagerly")
def test_first_of_a_function(tmp_path, runs):
    w = tf.Variable(np.ones([3, 2], np.float32))
    spec = tf.TensorSpec([None, 3], name="x")
    plan = fh.plan_function(
        lambda x: tf.matmul(x, w), input_signature=[spec], verify=fh.Verify(first_only=True)
    )
    found = [plan.write(str(tmp_path / f"{i}.pb")).max_difference for i in range(3)]
    assert found[0] < 1e-6 and found[1:] == [None, None] and len(runs) == 1


def test_first_fails_until_a_file_is_proved(graph, tmp_path, monkeypatch, runs):
    training = Training(loop, "first", tmp_path)
    with monkeypatch.context() as broken:
        broken.setattr(OpenFile, "run", lambda *args: [[np.zeros([2, 4], "f")]] * 2)
        with pytest.raises(fh.NotVerifiedError):
            training.save()
    assert training.save().max_difference < 1e-5
    assert training.save().max_difference is None
    assert len(runs) == 1


def test_a_proof_leaves_no_weights_behind(graph, tmp_path):
    """The graph that stays has placeholders for them."""
    training = Training(dense, True, tmp_path)
    for _ in range(3):
        training.save()
    kept = training.saver._delivery._live._answers[0]._asking.runs._graph
    sizes = {op.name: op.type for op in kept.graph.get_operations()}
    assert sizes["net/w"] == sizes["net/scale"] == sizes["net/text"] == "Placeholder"
    assert kept.graph.finalized


def test_copies_and_threads(tmp_path):
    """A callback is copied with its plan; two threads may prove files of one plan."""
    assert isinstance(copy.deepcopy(FileRuns()), FileRuns)
    graph = tf.Graph()
    with graph.as_default():
        v1.placeholder(tf.float32, [None], "x")
        tf.add(graph.get_tensor_by_name("x:0"), v1.get_variable("w", [3]), name="y")
        paths = [str(tmp_path / f"{i}.pb") for i in range(8)]
        with v1.Session() as session:
            for path in paths:
                session.run(v1.global_variables_initializer())
                fh.freeze_session(session, path, ["y"])
    wanted = [fh.load_frozen(path)(x=np.zeros(3, "f"))["y"].tolist() for path in paths]
    found, runs = {}, FileRuns()

    def prove(path):
        answers = runs.open(path, lambda digest: None).run([{"x:0": np.zeros(3, "f")}], ["y:0"])
        found[path] = answers[0][0].tolist()

    threads = [threading.Thread(target=prove, args=[path]) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[path] for path in paths] == wanted


def test_digits_are_alike_on_every_way(tmp_path):
    """What `predict` answers, the proved file answers, whatever the way."""
    keras = keras_of(KERASES[0])
    model = classifier(keras)
    for verify in (True, "first", fh.Verify({"pixels": DIGITS[:4]}, own_process=True)):
        callback = callback_in(tmp_path, verify)
        fit(model, callbacks=[callback], epochs=2)
        found = fh.load_frozen(callback.artifacts[-1].path)(pixels=DIGITS[:4])["probs"]
        np.testing.assert_allclose(found, model.predict(DIGITS[:4], verbose=0), atol=1e-5)

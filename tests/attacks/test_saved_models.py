"""Real SavedModels, damaged, in a separate process: our errors only, or right answers.

`FUZZ=20000 pytest -s tests/attacks/test_saved_models.py` damages 20,000 at random. Failing
directories are kept; the output names them.
"""

import inspect
import os

import pytest
import tensorflow as tf
from click.testing import CliRunner
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import freeze_hooks as fh
from attacks import checkpoints
from attacks.fuzzing import Fuzzer, change
from attacks.reader import Reader
from attacks.saved_models import (
    DATA,
    INDEX,
    LOOK,
    MAIN,
    MISSING,
    PLACES,
    RUN,
    SavedModels,
    damaged,
    is_sound,
)
from freeze_hooks import _protos
from freeze_hooks.cli.group import commands
from freeze_hooks.values.bundle import _table

v1 = tf.compat.v1
COUNT = int(os.environ.get("FUZZ", "500"))
WEIGHTS = {"variables": 7, "constants": 4, "link": 2, "module": 3, "keras": 2, "v1": 2}
OURS = ("constants", "variables", "link")
BYTES = 6  # times more often are bytes of a file changed than a whole file
number = st.integers(0, 1 << 10)
harm = st.sampled_from(("bytes",) * BYTES + (*PLACES, MISSING, "swapped", "of another"))
harms = st.lists(st.tuples(harm, number, number, change), min_size=1, max_size=3)
ABUSES = [
    function
    for _, function in inspect.getmembers(checkpoints, inspect.isfunction)
    if list(inspect.signature(function).parameters) == ["entries", "key"]
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return SavedModels(str(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def reader():
    made = Reader()
    yield made
    made.close()


@pytest.fixture
def fuzzer(models, tmp_path, reader):
    return Fuzzer(models, tmp_path, reader)


def tree_of(models, name):
    if name not in models.trees:
        pytest.skip("this TensorFlow writes none")
    return models.trees[name]


def test_as_they_are(models, fuzzer):
    for name, tree in models.trees.items():
        for door in LOOK + RUN:
            fuzzer.try_one(name, door, tree)
    theirs = len(models.trees) - len(OURS)
    wanted = {"read": 12 * len(OURS) + 5 * theirs, "refused": 7 * theirs}
    assert not fuzzer.failures, fuzzer.told()
    assert fuzzer.tried == wanted  # without freezing, weights that are variables are refused


@pytest.mark.parametrize("name", WEIGHTS)
def test_damaged_at_random(models, fuzzer, name):
    tree = tree_of(models, name)
    others = [models.trees[other] for other in sorted(models.trees) if other != name]

    @settings(
        max_examples=COUNT * WEIGHTS[name] // sum(WEIGHTS.values()),
        derandomize="FUZZ" not in os.environ,
        phases=(Phase.generate,),
    )
    @given(harms, st.integers(0, 1 << 10))
    def attempt(changes, door):
        found = damaged(tree, others, changes)
        doors = LOOK + RUN if is_sound(found, tree) else LOOK
        fuzzer.try_one(name, doors[door % len(doors)], found)

    attempt()
    print(name, fuzzer.tried, f"at most {fuzzer.peak} MB")
    assert not fuzzer.failures, fuzzer.told()
    assert fuzzer.tried.get("refused")


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("what", [*PLACES, MISSING])
def test_something_else_where_a_file_should_be(models, fuzzer, name, what):
    tree = tree_of(models, name)
    for file in sorted(tree):
        found = {**tree, file: what}
        if what == MISSING:
            del found[file]
        before = fuzzer.tried.get("refused", 0)
        for door in ("loaded", "frozen_again"):
            fuzzer.try_one(name, door, found)
        needed = file in (MAIN, DATA, INDEX)
        assert fuzzer.tried.get("refused", 0) - before == 2 or not needed, file
    assert not fuzzer.failures, fuzzer.told()


@pytest.mark.parametrize("file", [DATA, INDEX])
@pytest.mark.parametrize("name", ["variables", "link", "v1", "module"])
def test_each_flipped_byte_of_variables(models, fuzzer, name, file):
    """Of the values, it is found; the index has bytes that nothing depends on, at its end.

    The module's data file has an object graph too, which loaders read whole.
    """
    tree = tree_of(models, name)
    door = "answered" if name in OURS else "frozen_again"
    length = len(tree[file])
    for place in range(0, length, 1 if name in OURS else max(1, length // 40)):
        flipped = bytearray(tree[file])
        flipped[place] ^= 1 << place % 8
        fuzzer.try_one(name, door, {**tree, file: bytes(flipped)})
    assert not fuzzer.failures, fuzzer.told()
    assert fuzzer.tried.get("read", 0) <= (0 if file == DATA else 48 + 9), fuzzer.tried
    assert fuzzer.tried["refused"]


@pytest.mark.parametrize("abuse", ABUSES, ids=lambda abuse: abuse.__name__)
@pytest.mark.parametrize("name", ["variables", "link", "v1", "module"])
def test_hostile_indexes(models, fuzzer, name, abuse):
    """Their checksums are right."""
    tree = tree_of(models, name)
    entries = dict(_table(tree[INDEX]))
    key = next(key for key in sorted(entries) if key.startswith((b"w", b"b")))
    found = {**tree, INDEX: abuse(entries, key)}
    for door in ("answered", "frozen_again", "proved", "verify_against"):
        if name in OURS or door != "answered":
            fuzzer.try_one(name, door, found)
    assert not fuzzer.failures, fuzzer.told()
    assert abuse is not checkpoints.sound or set(fuzzer.tried) == {"read"}


def test_a_shape_that_the_graph_does_not_have(models, fuzzer):
    """The bias [0.5, -1.25] as a column: a sum would take it, and be another one."""
    tree = models.trees["variables"]
    entries = dict(_table(tree[INDEX]))
    for sizes in ([2, 1], [1, 2]):
        index = checkpoints.changed(entries, b"b", sizes=sizes)
        for door in ("inspected", "loaded", "answered"):
            fuzzer.try_one("variables", door, {**tree, INDEX: index})
    assert not fuzzer.failures, fuzzer.told()
    assert fuzzer.tried == {"refused": 6}


@pytest.mark.parametrize("held", [b"\xff", b"\x0a\x02\xff\xfe"])
@pytest.mark.parametrize("name", ["variables", "link"])
def test_a_collection_that_holds_no_variable(models, fuzzer, name, held):
    """TensorFlow's loader parses what its collections hold."""
    message = _protos.SavedModel.FromString(models.trees[name][MAIN])
    (meta,) = message.meta_graphs
    collections = [c for c in meta.collection_def.values() if c.bytes_list.value]
    assert collections
    for collection in collections:
        collection.bytes_list.value[0] = held
    fuzzer.try_one(name, "loaded", {**models.trees[name], MAIN: message.SerializeToString()})
    assert not fuzzer.failures, fuzzer.told()
    assert fuzzer.tried == {"refused": 1}


@pytest.mark.parametrize("name", ["constants", "variables"])
def test_each_flipped_byte_of_an_asset(models, fuzzer, name):
    tree = models.trees[name]
    file = "assets.extra/sub/labels.txt"
    for place in range(len(tree[file])):
        flipped = bytearray(tree[file])
        flipped[place] ^= 1 << place % 8
        fuzzer.try_one(name, "carried", {**tree, file: bytes(flipped)})
    assert not fuzzer.failures, fuzzer.told()
    assert fuzzer.tried == {"refused": len(tree[file])}


@pytest.mark.skipif(os.name == "nt", reason="Windows has other links")
def test_directories_in_circles(models, reader, tmp_path):
    """Two links to their own directory: 2^40 paths lead through them."""
    task = models.task("constants", models.trees["constants"], str(tmp_path))
    for name in ("a", "b"):
        os.symlink(".", os.path.join(task["path"], name))
    for door in LOOK + RUN:
        assert reader(door, **task)["outcome"] == "read", door


def written(tree, path, place):
    """Return our SavedModel with an op that writes a file, run where the graph is loaded."""
    message = _protos.SavedModel.FromString(tree[MAIN])
    (meta,) = message.meta_graphs
    with tf.Graph().as_default() as graph, tf.name_scope("thief"):
        steal = tf.io.write_file(tf.constant(path), tf.constant("stolen"))
    meta.graph_def.node.extend(graph.as_graph_def().node)
    if place == "restore":
        (restore,) = (n for n in meta.graph_def.node if n.name == meta.saver_def.restore_op_name)
        restore.input.append("^" + steal.name)
    elif place == "signature":
        meta.signature_def["__saved_model_init_op"].outputs[
            "__saved_model_init_op"
        ].name = steal.name
    else:
        meta.collection_def[place].node_list.value.append(steal.name)
    return {**tree, MAIN: message.SerializeToString()}


@pytest.mark.parametrize(
    "place", ["restore", "signature", "saved_model_main_op", "legacy_init_op", "nowhere"]
)
@pytest.mark.parametrize("name", OURS)
def test_loading_runs_nothing_that_writes(models, reader, tmp_path, name, place):
    if name == "constants" and place == "restore":
        pytest.skip("it restores nothing")
    stolen = str(tmp_path / "stolen.txt")
    task = models.task(name, written(models.trees[name], stolen, place), str(tmp_path))
    for door in LOOK + RUN:
        answer = reader(door, **task)
        assert answer["outcome"] in ("read", "refused"), (door, answer)
        assert not os.path.exists(stolen), door
        assert answer["outcome"] == "read" or door != "inspected"  # the graph as such is sound


def test_a_saver_that_writes_where_it_is_told(models, reader, tmp_path):
    """The op that saves would run when the graph is loaded, and write a checkpoint anywhere."""
    tree = models.trees["variables"]
    message = _protos.SavedModel.FromString(tree[MAIN])
    (meta,) = message.meta_graphs
    (save,) = (node.name for node in meta.graph_def.node if node.op == "SaveV2")
    meta.collection_def["saved_model_main_op"].node_list.value.append(save)
    (default,) = (node for node in meta.graph_def.node if node.name == "save/filename")
    stolen = str(tmp_path / "stolen")
    default.attr["value"].tensor.string_val[:] = [stolen.encode()]
    found = {**tree, MAIN: message.SerializeToString()}
    task = models.task("variables", found, str(tmp_path))
    for door in LOOK + RUN:
        answer = reader(door, **task)
        assert answer["outcome"] in ("read", "refused"), (door, answer)
        assert not [name for name in os.listdir(str(tmp_path)) if name.startswith("stolen")], door


def test_verify_runs_nothing_that_writes(models, tmp_path):
    """`verify --against` a SavedModel whose graph writes a file. Refused."""
    saved, stolen = str(tmp_path / "saved"), tmp_path / "stolen.txt"
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], "x")
        with tf.control_dependencies([tf.io.write_file(str(stolen), "stolen")]):
            y = tf.identity(x, "probs")
        session.run(v1.get_variable("w", [2]).initializer)
        v1.saved_model.simple_save(session, saved, {"x": x}, {"probs": y})
    task = models.task("constants", models.trees["constants"], str(tmp_path))
    with pytest.raises(fh.FreezeError, match="would run WriteFile"):
        fh.freeze_saved_model(saved, str(tmp_path / "out.pb"), verify=True)
    done = CliRunner().invoke(commands, ["verify", task["path"], "--against", saved])
    assert done.exit_code == 2 and "would run WriteFile" in done.output
    assert not stolen.exists()

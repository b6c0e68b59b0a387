"""What only looks at a file does not import TensorFlow, which takes seconds."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from places import ROOT

import freeze_hooks as fh

v1 = tf.compat.v1
PACKAGE = os.path.dirname(fh.__file__)
CORE = ("graph", "plan", "storage", "frozen/wire", "frozen/description", "frozen/reader")
CORE += ("frozen/known_readers", "frozen/other_kinds", "signature", "errors", "_protos")
CORE += ("values/bundle", "values/checkpoint_reads", "values/value", "proof/asked")
CORE += ("sources/at_path", "sources/contents", "sources/checkpoint_index", "cli")
CORE += ("sources/graph_message", "sources/graph_file", "sources/saved_model_message")
CORE += ("sources/saved_keys", "sources/asked_names")
HEAVY = {"freeze_hooks.cli.comparison"}  # imported when there is something to compare


def core():
    for directory, _, files in os.walk(PACKAGE):
        for file in sorted(files):
            inner = os.path.relpath(os.path.join(directory, file), PACKAGE)
            stem = inner.replace(os.sep, "/")[: -len(".py")]
            if file.endswith(".py") and any((stem + "/").startswith(part + "/") for part in CORE):
                name = "freeze_hooks." + stem.replace("/", ".")
                if not name.endswith("__main__"):
                    yield name.replace(".__init__", "")


def clean(script, *arguments):
    """What a script prints in a new process."""
    env = dict(os.environ, PYTHONPATH=ROOT)
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def test_the_core_imports_no_tensorflow():
    names = sorted(set(core()) - HEAVY)
    assert len(names) > 60 and "freeze_hooks.graph.lint" in names
    script = (
        "import importlib, sys\n"
        "from freeze_hooks.cli import quick_start\n"
        "quick_start.load_messages()\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        "    assert 'tensorflow' not in sys.modules, name\n"
    )
    done = clean(script, *names)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A directory with a frozen file, checkpoints and what is none."""
    directory = tmp_path_factory.mktemp("files")
    with tf.Graph().as_default():
        x = v1.placeholder(tf.float32, [None, 8, 8, 3], name="x")
        training = v1.placeholder(tf.bool, [], name="training")
        kernel = v1.get_variable("kernel", [3, 3, 3, 4])
        h = tf.nn.relu(tf.nn.conv2d(x, kernel, strides=[1, 1, 1, 1], padding="SAME"))
        h = tf.reshape(tf.reduce_mean(h, [1, 2]), [-1, 4])
        h = tf.cond(training, lambda: tf.nn.dropout(h, rate=0.5), lambda: tf.identity(h))
        probs = tf.nn.softmax(h, name="probs")
        v1.get_variable("text", initializer=tf.constant("é"))
        v1.get_variable("parted", [6, 3], partitioner=v1.fixed_size_partitioner(2))
        v1.train.get_or_create_global_step()
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            v1.train.Saver().save(session, str(directory / "model"))
            fh.freeze_session(
                session, str(directory / "m.pb"), ["probs"], bind={"training:0": False}
            )
            v1.saved_model.simple_save(session, str(directory / "saved"), {"x": x}, {"y": probs})
    np.savez(str(directory / "feeds.npz"), x=np.zeros((1, 8, 8, 3), np.float32))
    (directory / "page.pb").write_text("<!doctype html><title>404</title>")
    large = tf.Graph()
    with large.as_default():
        tf.identity(tf.constant(np.zeros((20 << 20,), np.float32)), name="large")
    data = large.as_graph_def().SerializeToString()
    (directory / "large.pb").write_bytes(data)
    (directory / "cut.pb").write_bytes(data[:-9])
    return directory


LOOK = """
import json, sys
from freeze_hooks.cli import main
sys.argv = ["freeze-hooks"] + sys.argv[1:]
try:
    main()
except SystemExit as end:
    print("\\n" + json.dumps(["tensorflow" in sys.modules, end.code]))
"""


# Runs a script in a fork for each list of arguments; prints [[standard output, errors], ...].
LOOKS = """
import json, os, sys, tempfile
import freeze_hooks.cli.command, freeze_hooks.cli.group, numpy, rich
from freeze_hooks.cli import quick_start
quick_start.load_messages()
found, script = [], sys.argv[1]
for arguments in json.loads(sys.argv[2]):
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            sys.argv = ["-c", *arguments]
            exec(script)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
        os.waitpid(child, 0)
        found.append([])
        for file in (out, errors):
            file.seek(0)
            found[-1].append(file.read())
print(json.dumps(found))
"""


def looked(*arguments):
    """(what the command prints, its errors, whether it imported TensorFlow, its exit code)."""
    done = clean(LOOK, *arguments)
    shown, end = done.stdout.rstrip().rsplit("\n", 1)
    return (shown.rstrip("\n"), done.stderr, *json.loads(end))


def test_inspect(files):
    shown, errors, imported, code = looked("inspect", "--json", files / "m.pb")
    assert (errors, imported, code) == ("", False, 0)
    report = fh.inspect(str(files / "m.pb"))
    found = json.loads(shown)
    assert found["ops"] == report.ops and found["weight_bytes"] == report.weight_bytes
    assert found["signature"]["outputs"][0]["name"] == "probs"
    assert found["findings"] == [] and report.findings == ()
    for reader in ("openvino", "opencv"):
        assert looked("inspect", "--reader", reader, files / "m.pb")[1:] == ("", False, 0)


def test_checkpoint(files):
    shown, errors, imported, code = looked("checkpoint", "--json", files)
    assert (errors, imported, code) == ("", False, 0)
    found = json.loads(shown)
    assert found["prefix"] == str(files / "model") and found["step"] == 0
    reader = v1.train.NewCheckpointReader(str(files / "model"))
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    listed = {one["key"]: (one["shape"], one["dtype"]) for one in found["variables"]}
    assert listed == {key: (list(shapes[key]), dtypes[key].name) for key in shapes}
    assert {"text", "parted"} <= set(listed)


def test_checkpoint_with_its_graph(files):
    for graph in ("model.meta", "m.pb"):
        given = ["checkpoint", "--json", files / "model", "--graph", files / graph]
        shown, errors, imported, code = looked(*given)
        assert (errors, imported, code) == ("", False, 0)
        users = {one["key"]: one["used_by"] for one in json.loads(shown)["variables"]}
        assert users["kernel"] == ["kernel"]


WRONG = [
    ["inspect", "{}/nothing.pb"],
    ["inspect", "{}"],
    ["inspect", "{}/page.pb"],
    ["inspect", "{}/m.pb", "--reader", "nobody"],
    ["inspect", "{}/model.index"],
    ["checkpoint", "{}/nothing"],
    ["checkpoint", "{}/m.pb"],
    ["freeze", "{}/nothing", "-o", "{}/out.pb"],
    ["freeze", "{}/model", "-o", "{}/out.pb", "--bind", "training"],
    ["freeze", "{}/model", "-o", "{}/out.pb"],
    ["freeze", "{}/model", "-o", "{}/out.pb", "--outputs", "prob"],
    ["freeze", "{}/model", "-o", "{}/out.pb", "--outputs", "probs", "--inputs", "X"],
    ["freeze", "{}/model", "-o", "{}/out.pb", "--outputs", "probs", "--bind", "train=1"],
    ["freeze", "{}/m.pb", "-o", "{}/out.pb", "--outputs", "probs", "--checkpoint", "{}/no"],
    ["freeze", "{}/page.pb", "-o", "{}/out.pb", "--outputs", "probs"],
    ["freeze", "{}/saved", "-o", "{}/out.pb", "--signature", "nobody"],
    ["freeze", "{}/saved", "-o", "{}/out.pb", "--tags", "nobody"],
    ["freeze", "{}/saved", "-o", "{}/out.pb", "--outputs", "prob"],
    ["check", "{}/model.meta", "--outputs", "probs:7"],
    ["check", "{}/large.pb", "--outputs", "larger"],
    ["run", "{}/cut.pb"],
    ["checkpoint", "{}/model", "--graph", "{}/page.pb"],
    ["check", "{}/nothing"],
    ["run", "{}/nothing.pb"],
    ["run", "{}/page.pb"],
    ["run", "{}/m.pb", "--feeds", "{}/nothing.npz"],
    ["verify", "{}/nothing.pb", "--against", "{}/model"],
    ["verify", "{}/m.pb", "--against", "{}/nothing"],
    ["inspect", "--nothing"],
    ["nothing"],
]


@pytest.fixture(scope="module")
def told(files):
    """Return {arguments: what `looked` returns}; one process forks for each, which is faster."""
    filled = [[text.format(files) for text in arguments] for arguments in WRONG]
    done = clean(LOOKS, LOOK, json.dumps(filled))
    assert done.returncode == 0, done.stderr
    found = {}
    for arguments, (shown, errors) in zip(WRONG, json.loads(done.stdout)):
        shown, end = shown.rstrip().rsplit("\n", 1)
        found[" ".join(arguments)] = (shown.rstrip("\n"), errors, *json.loads(end))
    return found


@pytest.mark.parametrize("arguments", [" ".join(arguments) for arguments in WRONG])
def test_errors_about_names_and_files(told, arguments):
    shown, errors, imported, code = told[arguments]
    assert (shown, imported, code) == ("", False, 2)
    assert errors.count("\n") <= 4
    assert any(word in errors for word in ("no", "takes", "is", "name"))


def test_what_runs_a_file_imports_tensorflow_after_its_messages(files):
    """The real package finds the modules of messages that were loaded before it."""
    shown, errors, imported, code = looked("run", files / "m.pb", "--feeds", files / "feeds.npz")
    assert (errors, imported, code) == ("", True, 0)
    assert "probs" in shown


ORDERS = {
    "messages first": "load_messages(); from freeze_hooks import _protos; import tensorflow as tf",
    "tensorflow first": "import tensorflow as tf; load_messages()"
    "; from freeze_hooks import _protos",
    "a module of messages first": "load_messages(); from tensorflow.core.framework import graph_pb2"
    "; from freeze_hooks import _protos; import tensorflow as tf",
}


@pytest.mark.parametrize("order", sorted(ORDERS))
def test_there_is_one_class_a_message_in_either_order(order):
    script = (
        "from freeze_hooks.cli.quick_start import load_messages\n" + ORDERS[order] + "\n"
        "from google.protobuf import descriptor_pool\n"
        "from tensorflow.core.framework import graph_pb2\n"
        "from tensorflow.core.protobuf import saved_model_pb2 as saved\n"
        "graph = tf.Graph()\n"
        "with graph.as_default():\n"
        "    tf.constant(1.0, name='c')\n"
        "made = graph.as_graph_def()\n"
        "assert type(made) is graph_pb2.GraphDef is _protos.GraphDef\n"
        "assert saved.SavedModel is _protos.SavedModel\n"
        "assert tf.compat.v1.GraphDef is _protos.GraphDef\n"
        "found = descriptor_pool.Default().FindMessageTypeByName('tensorflow.GraphDef')\n"
        "assert found.full_name == _protos.GraphDef.DESCRIPTOR.full_name\n"
        "assert found is _protos.GraphDef.DESCRIPTOR\n"
        "with tf.Graph().as_default():\n"
        "    tf.import_graph_def(_protos.GraphDef.FromString(made.SerializeToString()))\n"
        "assert tf.__file__ and hasattr(tf, 'raw_ops')\n"
    )
    done = clean(script)
    assert done.returncode == 0, done.stderr


def test_a_program_that_imports_the_package_has_the_ordinary_modules():
    script = (
        "import sys, freeze_hooks\n"
        "assert not {'tensorflow', 'google.protobuf', 'numpy'} & set(sys.modules)\n"
        "import freeze_hooks.frozen.wire\n"
        "assert 'tensorflow' not in sys.modules\n"
        "from freeze_hooks import _protos\n"
        "assert sys.modules['tensorflow'].__file__\n"
    )
    done = clean(script)
    assert done.returncode == 0, done.stderr


def test_debug_brings_tensorflows_log_and_tracebacks(files):
    for arguments in (["--debug", "inspect"], ["inspect", "--debug"]):
        done = clean(LOOK, *arguments, files / "nothing.pb")
        assert "Traceback" in done.stderr and "FreezeError" in done.stderr
    script = "import logging\nlogging.getLogger('tensorflow')\n" + LOOK
    quiet = clean(script, "run", files / "m.pb", "--feeds", files / "feeds.npz")
    loud = clean(script, "--debug", "run", files / "m.pb", "--feeds", files / "feeds.npz")
    assert quiet.stderr == "" and quiet.stdout == loud.stdout


def test_inspect_knows_the_ops_of_all_versions(tmp_path):
    """Some ops of a file differ between TensorFlow versions, or are missing in one."""
    graph_def = v1.GraphDef()
    graph_def.node.add(name="x", op="Placeholder").attr["dtype"].type = 1
    graph_def.node.add(name="y", op="StatelessRandomGetAlg")
    path = tmp_path / "ops.pb"
    path.write_bytes(graph_def.SerializeToString())
    shown, errors, imported, code = looked("inspect", "--json", path)
    assert (errors, imported, code) == ("", False, 0)
    assert json.loads(shown)["ops"]["StatelessRandomGetAlg"] == 1

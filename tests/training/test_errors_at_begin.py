"""Mistakes are reported before the first step, with names and with what to do."""

import os
import sys

import numpy as np
import pytest
import started
import tensorflow as tf
from control_flow import control_flow

import freeze_hooks as fh

v1 = tf.compat.v1


def build(resource=None):
    x = v1.placeholder(tf.float32, [None, 4], "x")
    training = v1.placeholder(tf.bool, [], "is_training")
    with v1.variable_scope("net", use_resource=resource):
        w = v1.get_variable("w", [4, 3])
        count = v1.get_variable("count", [], trainable=False)
    logits = tf.matmul(x, w, name="net/logits")
    tf.nn.softmax(logits, name="net/probs")
    tf.cond(training, lambda: logits * 2.0, lambda: logits, name="choice")
    loss = tf.reduce_mean(logits, name="loss")
    tf.add(v1.assign_add(count, 1.0), loss, name="counted")
    tf.no_op(name="nothing")
    step = v1.train.get_or_create_global_step()
    return v1.train.AdamOptimizer(0.1).minimize(loss, global_step=step)


def start(directory, **arguments):
    """Begin a training as a user would; raise an error if anything is wrong."""
    train_op = build()
    hook = fh.FreezeHook(**arguments)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(directory), hooks=[hook], save_summaries_steps=None
    ) as session:
        session.run(train_op, {"x:0": np.ones([2, 4])})


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({}, ["outputs=", "'net/probs'  float32 [None, 3]", "'counted'  float32 []"]),
        ({"outputs": ["net/prob"]}, ["'net/prob' is not in the graph", "'net/probs'"]),
        ({"outputs": ["probs"]}, ["'probs' is not in the graph", "'net/probs'"]),
        ({"outputs": {"y": "qqqqq:0"}}, ["'qqqqq' is not in the graph", "no", "similar name"]),
        ({"outputs": ["net/probs:1"]}, ["'net/probs:1' is not an output", "net/probs:0"]),
        ({"outputs": ["nothing"]}, ["'nothing:0' is not an output of NoOp", "none"]),
        ({"outputs": ["net/probs"], "inputs": ["X"]}, ["inputs=", "'X'", "'x'"]),
        ({"outputs": ["net/probs"], "bind": {"training:0": False}}, ["'is_training'"]),
        ({"outputs": ["net/probs"], "bind": {"x:0": np.ones([2, 5])}}, ["[None, 4]", "[2, 5]"]),
        ({"outputs": ["net/probs"], "bind": {"is_training:0": "no"}}, ["'is_training:0'", "'no'"]),
        ({"outputs": ["counted"], "strict": True}, ["Assign"]),
    ],
)
def test_wrong_arguments_stop_before_training(arguments, words, graph, tmp_path):
    with pytest.raises(fh.FreezeError) as raised:
        start(tmp_path, **arguments)
    for word in words:
        assert word in str(raised.value)
    assert [n for n in os.listdir(str(tmp_path)) if not n.startswith("events.")] == []


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"outputs": [3]}, ["outputs=", "3"]),
        ({"outputs": ["a", "a:0"]}, ["a:0 twice"]),
        ({"outputs": ["a:b"]}, ["'a:b'"]),
        ({"outputs": ["^a"]}, ["'^a'"]),
        ({"outputs": {"a b": "c"}}, ["'a b'"]),
        ({"outputs": ["a"], "inputs": ["x"], "bind": {"x:0": 1}}, ["x:0", "inputs=", "bind="]),
        ({"outputs": ["a"], "name": "a/b"}, ["name=", "'a/b'"]),
    ],
)
def test_arguments_of_a_wrong_kind_are_refused_at_once(arguments, words):
    with pytest.raises(fh.FreezeError) as raised:
        fh.FreezeHook(**arguments)
    for word in words:
        assert word in str(raised.value)


def test_misspelt_arguments_are_errors():
    with pytest.raises(TypeError, match="output_names"):
        fh.FreezeHook(output_names=["probs"])


def test_an_output_that_needs_an_assignment(graph):
    build(resource=True)
    with pytest.raises(fh.NotFreezableError, match="net/count"):
        fh.check(graph, ["counted"])


def read_after_function(v):
    @tf.function
    def bump(x):
        v.assign_add(1.0)
        return x * 2.0

    with tf.control_dependencies([bump(tf.constant(1.0))]):
        return v.read_value()


def read_in_function_after_write(v):
    @tf.function
    def bumped():
        v.assign_add(1.0)
        return v * 2.0

    return bumped()


def read_after_conditional(v):
    on = v1.placeholder(tf.bool, [], "on")
    change = tf.cond(on, lambda: v1.assign_add(v, 1.0) + 0.0, lambda: 0.0)
    with tf.control_dependencies([change]):
        return v.read_value()


def read_after_group(v):
    with tf.control_dependencies([tf.group(v1.assign(v, 3.0), tf.no_op())]):
        return v.read_value() * 2.0


@pytest.mark.parametrize(
    "read",
    [read_after_function, read_in_function_after_write, read_after_conditional, read_after_group],
)
def test_a_read_after_a_write_is_refused(read, graph):
    v = v1.get_variable("v", [], use_resource=True)
    tf.identity(read(v), name="y")
    with pytest.raises(fh.NotFreezableError, match=r"'v' after .*Assign.* changed it|'v' after"):
        fh.check(graph, ["y"])


def test_a_read_after_a_reference_variable_is_written_is_refused(graph):
    v = v1.get_variable("v", [], use_resource=False)
    with tf.control_dependencies([v1.assign_add(v, 1.0)]):
        tf.identity(v.read_value(), name="y")
    with pytest.raises(fh.NotFreezableError, match="'v' after AssignAdd"):
        fh.check(graph, ["y"])


def test_reads_after_writes_of_other_variables_are_frozen(graph):
    v, other = (v1.get_variable(n, [], use_resource=True) for n in ("v", "other"))
    with tf.control_dependencies([v1.assign_add(other, v)]):
        tf.identity(v.read_value(), name="y")
    assert fh.check(graph, ["y"]).ops == {"Const": 1, "Identity": 3}


def test_an_output_in_a_branch_that_is_never_taken(graph):
    with control_flow(v2=False):
        x = v1.placeholder(tf.float32, [3], "x")
        tf.cond(v1.placeholder(tf.bool, [], "on"), lambda: tf.exp(x, name="exp"), lambda: x)
    with pytest.raises(fh.NotFreezableError, match="never take"):
        fh.check(graph, ["cond/exp"], bind={"on:0": False})


def test_two_gigabytes_are_refused_before_anything_is_allocated(graph):
    ids = v1.placeholder(tf.int64, [None])
    for i, rows in enumerate([3000000, 2500000]):
        table = v1.get_variable(f"table{i}", [rows, 100])
        tf.nn.embedding_lookup(table, ids, name=f"rows{i}")
    assert fh.check(graph, ["rows0"]).weight_bytes == 1200000000
    with pytest.raises(fh.TooLargeError, match=r"2\.20 GB.*table0.*1\.20 GB"):
        fh.check(graph, ["rows0", "rows1"])


def test_an_unwritable_output_dir(graph, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(fh.FreezeError, match="output_dir="):
        start(tmp_path / "ckpt", outputs=["net/probs"], output_dir=str(tmp_path / "file" / "out"))
    assert [n for n in os.listdir(str(tmp_path / "ckpt")) if not n.startswith("events.")] == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_directory_that_takes_the_checkpoint_but_not_the_file(tmp_path):
    """The process may not write so large a file: an error at step 0, before the first step."""
    script = (
        "import resource, signal, sys\n"
        "import tensorflow as tf, freeze_hooks as fh\n"
        "v1 = tf.compat.v1\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300000, 300000))\n"
        "with tf.Graph().as_default():\n"
        "    w = v1.get_variable('w', [4, 5000])\n"
        "    tf.tile(w, [20, 1])\n"
        "    c = tf.constant(list(range(100000)), tf.float32)\n"
        "    tf.add(tf.reduce_sum(w), c, name='y')\n"
        "    step = v1.train.get_or_create_global_step()\n"
        "    saver = v1.train.Saver(save_relative_paths=True)\n"
        "    hook = fh.FreezeHook(['y'])\n"
        "    with tf.Graph().as_default(): pass\n"
        "    hook.begin()\n"
        "    with v1.Session() as session:\n"
        "        session.run(v1.global_variables_initializer())\n"
        "        try:\n"
        "            saver.save(session, sys.argv[1], write_meta_graph=False)\n"
        "        except fh.FreezeError as error:\n"
        "            print('REFUSED', error)\n"
    )
    run = started.run(["-c", script, tmp_path / "model"])
    assert "REFUSED cannot write a frozen file for" in run.stdout, run.stderr
    assert sorted(p.name for p in tmp_path.iterdir() if "pb" in p.name) == []
    assert (tmp_path / "model.index").exists()


def py_func(x):
    return v1.py_func(lambda a: np.tanh(a), [x], tf.float32)


def batch_norm(x):
    x = tf.reshape(x, [-1, 1, 1, 4])
    return v1.nn.fused_batch_norm(x, tf.ones([4]), tf.zeros([4]), is_training=True)[0]


def table(x):
    """Return x plus a value from a table that nothing initializes."""
    handle = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.float32)
    return x + tf.raw_ops.LookupTableFindV2(table_handle=handle, keys="a", default_value=-1.0)


def iterator(x):
    data = tf.data.Dataset.from_tensor_slices(np.ones([3, 4], np.float32)).batch(2)
    return x + v1.data.make_one_shot_iterator(data).get_next()


def queue(x):
    return x + v1.train.input_producer(tf.constant([1.0, 2.0])).dequeue()


def switched(x):
    return tf.cond(v1.placeholder(tf.bool, [], "mode"), lambda: x * 2.0, lambda: x)


@pytest.mark.parametrize(
    "op, words",
    [
        (batch_norm, ["FusedBatchNorm", "statistics of each batch", "is_training=False"]),
        (lambda x: tf.nn.dropout(x, rate=0.5), ["random", "dropout"]),
        (py_func, ["PyFunc", "Python"]),
        (table, ["table"]),
        (iterator, ["IteratorGetNext", "inputs="]),
        (queue, ["ueue", "inputs="]),
        (switched, ["mode", "bind={'mode:0': False}"]),
        (lambda x: x * v1.placeholder(tf.float32, [], "scale"), ["scale", "bind="]),
    ],
    ids=["batch_norm", "dropout", "py_func", "table", "iterator", "queue", "switched", "unfed"],
)
def test_training_mode_is_warned_of(op, words, graph, warnings_logged):
    x = v1.placeholder(tf.float32, [None, 4], "x")
    tf.identity(op(x * v1.get_variable("w", [4])), name="y")
    arguments = {"outputs": ["y"], "inputs": ["x"]}
    hook = fh.FreezeHook(**arguments)
    hook.begin()
    said = " ".join(m for m in warnings_logged if m.startswith("FreezeHook"))
    for word in words:
        assert word in said
    assert said.count("FreezeHook: ") == len(fh.check(graph, **arguments).findings)
    with pytest.raises(fh.FreezeError, match="strict=True"):
        fh.FreezeHook(strict=True, **arguments).begin()


def test_a_clean_graph_is_not_warned_of(graph, warnings_logged):
    build()
    hook = fh.FreezeHook(["net/probs"], strict=True)
    hook.begin()
    assert [m for m in warnings_logged if "FreezeHook" in m] == []
    assert fh.check(graph, ["net/probs"]).findings == ()


def test_an_input_that_is_not_needed_is_warned_of(graph):
    build()
    v1.placeholder(tf.int64, [None], "labels")
    report = fh.check(graph, ["net/probs"], inputs=["x", "labels"])
    assert [f.kind for f in report.findings] == ["unused"]
    assert [i.name for i in report.signature.inputs] == ["x"]


def test_a_finalized_graph_freezes_if_its_variables_are_read_somewhere(graph, tmp_path):
    build(resource=True)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        graph.finalize()
        artifact = fh.freeze_session(session, str(tmp_path / "a.pb"), ["net/probs"])
    x = np.ones([2, 4], np.float32)
    assert fh.load_frozen(artifact.path)(x=x)["net/probs"].shape == (2, 3)


def test_a_finalized_graph_without_a_read_says_so(graph, tmp_path):
    w = v1.get_variable("w", [4, 3], use_resource=True)
    ids = v1.placeholder(tf.int64, [None], "ids")
    tf.raw_ops.ResourceGather(resource=w.handle, indices=ids, dtype=tf.float32, name="rows")
    for op in [op for op in graph.get_operations() if op.type == "ReadVariableOp"]:
        op._add_control_input(ids.op)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        graph.finalize()
        with pytest.raises(fh.FreezeError, match="'w' has no read op"):
            fh.freeze_session(session, str(tmp_path / "a.pb"), ["rows"])
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("free, kinds", [(True, []), (False, ["training_batch_norm"])])
def test_layer_norm_is_no_batch_norm(graph, free, kinds):
    """The layer norm of tf_keras uses batch norm's op, with a scale for each example."""
    x = v1.placeholder(tf.float32, [None, 4], "x")
    count = tf.shape(x)[:1] if free else tf.constant([3])
    scale, offset = tf.fill(count, 1.0), tf.fill(count, 0.0)
    rows = tf.reshape(x, tf.concat([[1], count, [-1], [1]], 0))
    v1.nn.fused_batch_norm(rows, scale, offset, data_format="NCHW", name="norm")
    findings = fh.check(graph, outputs=["norm"], inputs=["x"]).findings
    assert [finding.kind for finding in findings] == kinds

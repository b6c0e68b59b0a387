"""Remedies for input pipelines name tensors of the graph, and work."""

import ast
import re

import numpy as np
import pytest
import tensorflow as tf
from control_flow import control_flow
from frozen_files import read_graph_def

import freeze_hooks as fh

v1 = tf.compat.v1
X = np.random.RandomState(0).randn(12, 4).astype(np.float32)
LABELS = np.arange(12) % 3


@pytest.fixture(autouse=True)
def in_the_way_of_tensorflow_1():
    with control_flow(v2=False):
        yield


def data():
    return tf.data.Dataset.from_tensor_slices((X, LABELS)).repeat().batch(3)


def queue():
    return v1.train.shuffle_batch([tf.ones([4]), tf.constant(1)], 8, 100, 20)[0]


def batch():
    return v1.train.batch({"image": tf.constant(X[0]), "label": tf.constant(1)}, 2)["image"]


def slices():
    producer = v1.train.slice_input_producer([X, LABELS], shuffle=False)
    return tf.reshape(producer[0], [1, 4])


def padding_queue():
    queue = v1.PaddingFIFOQueue(10, [tf.float32], [[4]])
    v1.train.add_queue_runner(v1.train.QueueRunner(queue, [queue.enqueue([tf.ones([4])])]))
    return queue.dequeue_many(2)


def one_shot():
    return v1.data.make_one_shot_iterator(data()).get_next()[0]


def initializable():
    iterator = v1.data.make_initializable_iterator(data())
    v1.add_to_collection("ready", iterator.initializer)
    return iterator.get_next()[0]


def reinitializable():
    types, shapes = v1.data.get_output_types(data()), v1.data.get_output_shapes(data())
    iterator = v1.data.Iterator.from_structure(types, shapes)
    v1.add_to_collection("ready", iterator.make_initializer(data()))
    return iterator.get_next("next")[0]


def feedable():
    types, shapes = v1.data.get_output_types(data()), v1.data.get_output_shapes(data())
    own = v1.data.make_one_shot_iterator(data()).string_handle()
    handle = v1.placeholder_with_default(own, [], "handle")
    return v1.data.Iterator.from_string_handle(handle, types, shapes).get_next()[0]


def staged():
    area = tf.raw_ops  # StagingArea consists of these ops
    put = area.Stage(values=[tf.constant(X[:3])], shared_name="area")
    v1.add_to_collection("ready", put)
    return tf.reshape(area.Unstage(dtypes=[tf.float32], shared_name="area")[0], [3, 4])


def with_default():
    return v1.placeholder_with_default(one_shot(), [None, 4], "image")


def of_python():
    found = v1.py_func(lambda a: a * 2, [one_shot()], tf.float32)
    found.set_shape([None, 4])
    return found


def named():
    return tf.identity(one_shot(), name="image")


def either():
    return tf.cond(v1.placeholder_with_default(True, [], "mode"), named, lambda: one_shot() + 0)


def chosen_between():
    first, second = one_shot(), one_shot()
    mode = v1.placeholder_with_default(True, [], "mode")
    return tf.cond(mode, lambda: tf.identity(first), lambda: tf.identity(second))


def in_a_loop():
    iterator = v1.data.make_initializable_iterator(data())
    v1.add_to_collection("ready", iterator.initializer)
    return v1.while_loop(
        lambda i, x: i < 2,
        lambda i, x: (i + 1, x + iterator.get_next()[0]),
        [tf.constant(0), tf.zeros([3, 4])],
        shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, 4])],
    )[1]


def single_element():
    one = tf.data.Dataset.from_tensors(X[:3])
    return tf.data.experimental.get_single_element(one)


def sparse():
    indices = tf.SparseTensor([[0, 1], [1, 2]], [1.0, 2.0], [2, 4])
    iterator = v1.data.make_initializable_iterator(tf.data.Dataset.from_tensors(indices))
    v1.add_to_collection("ready", iterator.initializer)
    return tf.sparse.to_dense(iterator.get_next())


def in_a_branch():
    with control_flow(v2=True):
        iterator = v1.data.make_initializable_iterator(data())
        v1.add_to_collection("ready", iterator.initializer)
        mode = v1.placeholder_with_default(True, [], "mode")
        return tf.cond(mode, lambda: iterator.get_next()[0], lambda: tf.zeros([3, 4]))


def records(kind):
    def read(directory):
        path = str(directory / "data")
        if kind == "tfrecord":
            with tf.io.TFRecordWriter(path) as file:
                for row in X:
                    file.write(row.tobytes())
            dataset = tf.data.TFRecordDataset(path)
        elif kind == "fixed":
            (directory / "data").write_bytes(X.tobytes())
            dataset = tf.data.FixedLengthRecordDataset(path, 16)
        else:
            (directory / "data").write_text("\n".join(" ".join(map(str, row)) for row in X))
            dataset = tf.data.TextLineDataset(path)
        row = v1.data.make_one_shot_iterator(dataset.repeat().batch(2)).get_next()
        if kind == "text":
            cells = tf.compat.v1.string_split(row)
            return tf.reshape(tf.strings.to_number(cells.values), [-1, 4])
        return tf.reshape(tf.io.decode_raw(row, tf.float32), [-1, 4])

    read.__name__ = kind
    return read


def reader(directory):
    (directory / "rows").write_bytes(X.tobytes())
    names = v1.train.string_input_producer([str(directory / "rows")], shuffle=False)
    _, row = v1.FixedLengthRecordReader(16).read(names)
    return tf.reshape(tf.io.decode_raw(row, tf.float32), [1, 4])


CASES = [queue, batch, slices, padding_queue, one_shot, initializable, reinitializable, feedable]
CASES += [staged, with_default, of_python, named, either, chosen_between, single_element, sparse]
CASES += [in_a_branch, in_a_loop, records("tfrecord"), records("fixed"), records("text"), reader]


def advised(findings):
    """Return the `inputs=` that the finding on pipelines recommends."""
    said = [f.remedy for f in findings if f.kind in ("pipeline", "python")]
    assert said and len({remedy.split("inputs=")[1] for remedy in said}) == 1
    return ast.literal_eval(re.search(r"inputs=(\{.*?\})", said[0]).group(1))


def the_net(x):
    scale = v1.placeholder(tf.float32, [], "scale")
    return tf.identity((x @ v1.get_variable("w", [4, 2])) * scale, name="y")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_remedy_is_what_to_pass(case, graph, tmp_path, clean):
    x = case(tmp_path) if case.__code__.co_argcount else case()
    the_net(x)
    inputs = advised(fh.check(graph, ["y"]).findings)
    assert inputs["scale"] == "scale:0"
    report = fh.check(graph, ["y"], inputs=inputs)
    assert {finding.kind for finding in report.findings} <= {"switch"}
    fed = {key: name for key, name in inputs.items() if key not in ("scale", "mode")}
    with v1.Session() as session:
        session.run([v1.global_variables_initializer(), v1.local_variables_initializer()])
        for ready in graph.get_collection("ready"):
            session.run(ready)
        coord = tf.train.Coordinator()
        threads = v1.train.start_queue_runners(session, coord)
        live, y = session.run([fed, "y:0"], {"scale:0": 3.0})
        fh.freeze_session(session, str(tmp_path / "frozen.pb"), ["y"], inputs=inputs)
        coord.request_stop()
        coord.join(threads, stop_grace_period_secs=5, ignore_live_threads=True)
    path = str(tmp_path / "frozen.pb")
    ops = {node.op for node in read_graph_def(path).node}
    assert not {op for op in ops if "Iterator" in op or "Queue" in op or "Py" in op}
    feeds = {name + ":0": value for name, value in dict(live, scale=3.0).items()}
    if "mode" in inputs:
        feeds["mode:0"] = True
    if all(np.asarray(value).dtype != object for value in feeds.values()):
        np.testing.assert_allclose(clean.run(path, feeds, ["y:0"])[0], y, rtol=1e-6)
    else:  # .npz holds no strings
        model = fh.load_frozen(path)
        found = model({name[:-2]: value for name, value in feeds.items()})["y"]
        np.testing.assert_allclose(found, y, rtol=1e-6)


def test_inputs_that_are_given_stay(graph):
    the_net(one_shot())
    findings = fh.check(graph, ["y"], inputs={"by": "scale"}).findings
    assert advised(findings) == {"by": "scale:0", "x": "IteratorGetNext:0"}
    assert "IteratorGetNext:0 is float32 [None, 4]" in findings[0].remedy


def test_only_what_the_outputs_need_is_named(graph):
    x, label = v1.data.make_one_shot_iterator(data()).get_next()
    tf.add(the_net(x), tf.cast(label[:, None], tf.float32), name="loss")
    assert "IteratorGetNext:1" not in str(fh.check(graph, ["y"]).findings)
    both = {"scale": "scale:0", "x": "IteratorGetNext:0", "x_1": "IteratorGetNext:1"}
    assert advised(fh.check(graph, ["loss"]).findings) == both


@pytest.mark.parametrize("guess", ["IteratorGetNext:0", "x", "shuffle_batch/random_shuffle_queue"])
def test_a_wrong_guess_is_told_the_tensor(guess, graph):
    the_net(queue())
    with pytest.raises(fh.FreezeError, match="'shuffle_batch:0'"):
        fh.check(graph, ["y"], inputs={"x": guess})


def test_what_a_conditional_guards_is_not_cut(graph):
    """A placeholder in its place would have a value even if the branch is not taken."""
    the_net(either())
    inner = next(op.name for op in graph.get_operations() if op.type == "IteratorGetNext")
    arguments = {"outputs": ["y"], "inputs": {"x": inner, "scale": "scale", "mode": "mode"}}
    with pytest.raises(fh.NotFreezableError, match=r"conditional.*cond/Merge:0"):
        fh.check(graph, **arguments)
    del arguments["inputs"]["mode"]
    assert fh.check(graph, bind={"mode": True}, **arguments).findings == ()


def test_what_a_loop_computes_is_not_cut(graph):
    the_net(in_a_loop())
    inner = next(op.name for op in graph.get_operations() if op.type == "IteratorGetNext")
    with pytest.raises(fh.NotFreezableError, match="in a loop"):
        fh.check(graph, ["y"], inputs={"x": inner, "scale": "scale"})


def test_slims_providers(graph):
    import tf_slim as slim

    factory = slim.data if hasattr(slim, "data") else slim
    image = tf.identity(v1.train.shuffle_batch([tf.ones([4])], 8, 100, 20)[0:8])
    prefetch = factory.prefetch_queue.prefetch_queue([image], capacity=2)
    the_net(prefetch.dequeue())
    assert advised(fh.check(graph, ["y"]).findings)["x"] == "fifo_queue_Dequeue:0"


def test_a_file_that_has_one_says_so_too(graph, tmp_path):
    the_net(records("tfrecord")(tmp_path))
    tf.io.write_graph(graph, str(tmp_path), "graph.pb", as_text=False)
    report = fh.inspect(str(tmp_path / "graph.pb"))
    assert "pipeline" in [finding.kind for finding in report.findings]

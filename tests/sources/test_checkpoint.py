"""freeze_checkpoint: all kinds of checkpoints and graphs, without a session."""

import glob
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import constants
from google.protobuf import text_format
from small import FEEDS, FREEZE, X, assert_bit_equal, build

import freeze_hooks as fh

v1 = tf.compat.v1
PARTS = v1.fixed_size_partitioner(3)
INPUT = {"net/x:0": X}


class Trained:
    """The classifier after some steps, its checkpoint, and its answers."""

    def __init__(self, directory, saver=None, prefix="model.ckpt", **how):
        self.graph = v1.get_default_graph()
        train_op = build(**how)
        self.saver = saver() if saver else v1.train.Saver()
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            for _ in range(3):
                session.run(train_op, FEEDS)
            step = v1.train.get_global_step()
            self.prefix = self.saver.save(session, str(directory / prefix), global_step=step)
            feeds = dict(INPUT, **{"net/is_training:0": False})
            self.probs = session.run("probs:0", feeds)

    def check(self, clean, path):
        (got,) = clean.run(path, INPUT, ["probs:0"])
        np.testing.assert_allclose(got, self.probs, atol=1e-6)


@pytest.fixture(params=[False, True], ids=["ref", "resource"])
def resource(request):
    return request.param


def sharded(version=None):
    return lambda: v1.train.Saver(sharded=True, **({"write_version": version} if version else {}))


SAVERS = {
    "v2": None,
    "v2 sharded": sharded(),
    "v1": lambda: v1.train.Saver(write_version=v1.train.SaverDef.V1),
    "v1 sharded": sharded(v1.train.SaverDef.V1),
    "renamed": lambda: v1.train.Saver({"key/" + v.op.name: v for v in v1.global_variables()}),
}


@pytest.mark.parametrize("saver", sorted(SAVERS))
def test_formats(saver, resource, graph, clean, tmp_path):
    trained = Trained(tmp_path, SAVERS[saver], resource=resource)
    artifact = fh.freeze_checkpoint(trained.prefix, str(tmp_path / "a.pb"), **FREEZE)
    trained.check(clean, tmp_path / "a.pb")
    assert fh.load_frozen(artifact.path).metadata["values"] == "checkpoint"
    if saver != "renamed":
        assert_bit_equal(artifact.path, trained.prefix)


def test_the_step_is_the_prefix_s_or_the_variable_s(graph, tmp_path):
    trained = Trained(tmp_path)
    path = str(tmp_path / "a.pb")
    assert fh.freeze_checkpoint(trained.prefix, path, **FREEZE).step == 3
    with v1.Session() as session:
        trained.saver.restore(session, trained.prefix)
        plain = trained.saver.save(session, str(tmp_path / "plain"))
    assert fh.freeze_checkpoint(plain, path, **FREEZE).step == 3


@pytest.mark.parametrize("source", ["prefix", "index", "meta", "data", "directory"])
def test_names_of_a_checkpoint(source, graph, clean, tmp_path):
    trained = Trained(tmp_path)
    named = {
        "prefix": trained.prefix,
        "index": trained.prefix + ".index",
        "meta": trained.prefix + ".meta",
        "data": trained.prefix + ".data-00000-of-00001",
        "directory": tmp_path,
    }[source]
    fh.freeze_checkpoint(named, str(tmp_path / "a.pb"), **FREEZE)
    trained.check(clean, tmp_path / "a.pb")


def graph_of(kind, trained, directory):
    meta = trained.saver.export_meta_graph()
    graph_def = trained.graph.as_graph_def()
    path = directory / "a file of any name"
    if kind.endswith("text"):
        message = meta if kind.startswith("meta") else graph_def
        path.write_text(text_format.MessageToString(message))
    elif kind.endswith("binary"):
        message = meta if kind.startswith("meta") else graph_def
        path.write_bytes(message.SerializeToString())
    else:
        return {"graph": trained.graph, "graph_def": graph_def, "meta": meta}[kind]
    return path


GRAPHS = ["graph", "graph_def", "meta", "def text", "def binary", "meta text", "meta binary"]


@pytest.mark.parametrize("partitioner", [None, PARTS], ids=["whole", "partitioned"])
@pytest.mark.parametrize("kind", GRAPHS)
def test_graphs(kind, partitioner, resource, graph, clean, tmp_path):
    trained = Trained(tmp_path, resource=resource, partitioner=partitioner)
    given = graph_of(kind, trained, tmp_path)
    os.remove(trained.prefix + ".meta")
    fh.freeze_checkpoint(trained.prefix, str(tmp_path / "a.pb"), graph=given, **FREEZE)
    trained.check(clean, tmp_path / "a.pb")


def test_parts_without_a_saver_s_ops(graph, clean, tmp_path):
    """The shapes and the order of w/part_0, w/part_1 ... tell which rows each part holds."""
    trained = Trained(tmp_path, partitioner=PARTS)
    bare = v1.graph_util.extract_sub_graph(trained.graph.as_graph_def(), ["probs"])
    assert not any(node.op == "RestoreV2" for node in bare.node)
    fh.freeze_checkpoint(trained.prefix, str(tmp_path / "a.pb"), graph=bare, **FREEZE)
    trained.check(clean, tmp_path / "a.pb")


def test_object_based(clean, tmp_path):
    """A tf.train.Checkpoint has names of attributes as keys, and also the variables' full names."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 8], "x")
        w = v1.get_variable("net/w", [8, 3], use_resource=True)
        b = v1.get_variable("net/b", [3], use_resource=True)
        y = tf.add(tf.matmul(x, w), b, name="y")
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Checkpoint(kernel=w, bias=b).save(str(tmp_path / "c"), session)
        want = session.run(y, {x: X})
        bare = v1.graph_util.extract_sub_graph(v1.get_default_graph().as_graph_def(), ["y"])
    by_path = {"net/w": "kernel", "net/b": "bias"}
    for number, names in enumerate([None, by_path]):
        path = tmp_path / f"{number}.pb"
        fh.freeze_checkpoint(prefix, str(path), ["y"], graph=bare, variable_map=names)
        np.testing.assert_allclose(clean.run(path, {"x:0": X}, ["y:0"])[0], want, atol=1e-6)


@pytest.mark.parametrize("named", [True, False])
def test_averages(named, graph, clean, tmp_path):
    x = v1.placeholder(tf.float32, [None, 8], "x")
    w = v1.get_variable("w", [8, 3])
    tf.matmul(x, w, name="y")
    ema = tf.train.ExponentialMovingAverage(0.5)
    with tf.control_dependencies([v1.assign_add(w, tf.ones([8, 3]))]):
        update = ema.apply([w])
    saver = v1.train.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        session.run(update)
        session.run(update)
        prefix = saver.save(session, str(tmp_path / "c"))
        average = session.run(ema.average(w))
    given = ema if named else (lambda name: name + "/ExponentialMovingAverage")
    fh.freeze_checkpoint(prefix, str(tmp_path / "a.pb"), ["y"], ema=given)
    (got,) = clean.run(tmp_path / "a.pb", {"x:0": X}, ["y:0"])
    np.testing.assert_allclose(got, X @ average, atol=1e-5)
    with pytest.raises(fh.FreezeError, match="no average"):
        fh.freeze_checkpoint(prefix, str(tmp_path / "b.pb"), ["y"], ema=lambda name: name + "/no")


def refused(match, trained, directory, error=fh.FreezeError, **more):
    with pytest.raises(error, match=match):
        fh.freeze_checkpoint(trained.prefix, str(directory / "out.pb"), **dict(FREEZE, **more))
    assert not glob.glob(str(directory / "*out.pb*"))


def test_missing_variables_are_all_named(graph, tmp_path):
    trained = Trained(tmp_path)
    names = {"net/w": "net/W", "net/v": "other"}
    refused(
        r"lacks 2 of the variables[\s\S]*'net/W': it has 'net/w'[\s\S]*'other'",
        trained,
        tmp_path,
        fh.UnknownNameError,
        variable_map=names,
    )


def test_another_shape(graph, tmp_path):
    trained = Trained(tmp_path)
    names = {"net/v": "net/w"}
    refused(
        r"'net/w' is float32 \(6, 3\).*is float32 \(8, 6\)", trained, tmp_path, variable_map=names
    )


def test_a_missing_shard(graph, tmp_path):
    trained = Trained(tmp_path, partitioner=PARTS)
    for number in (0, 2):
        target = f"{trained.prefix}.data-{number:05d}-of-00003"
        shutil.copy(trained.prefix + ".data-00000-of-00001", target)
    os.remove(trained.prefix + ".data-00000-of-00001")
    refused("data-00001-of-00003", trained, tmp_path, fh.InvalidFileError)


@pytest.mark.parametrize("ending", [".data-00000-of-00001", ".index"])
@pytest.mark.parametrize("length", [0, 20])
def test_cut_short(ending, length, graph, tmp_path):
    trained = Trained(tmp_path)
    with open(trained.prefix + ending, "r+b") as file:
        file.truncate(length)
    refused("cut short|can be read", trained, tmp_path, fh.InvalidFileError)


def test_no_data_files(graph, tmp_path):
    trained = Trained(tmp_path)
    os.remove(trained.prefix + ".data-00000-of-00001")
    refused("data files .* are missing", trained, tmp_path, fh.InvalidFileError)


def test_a_changed_byte(graph, tmp_path):
    """Each tensor has a checksum in the index."""
    trained = Trained(tmp_path)
    with open(trained.prefix + ".data-00000-of-00001", "r+b") as file:
        data = file.read()
        w = v1.train.NewCheckpointReader(trained.prefix).get_tensor("net/w").tobytes()
        file.seek(data.index(w) + 5)
        file.write(b"\xff")
    refused("'net/w' is not what was saved", trained, tmp_path, fh.InvalidFileError)


def test_many_variables(graph, clean, tmp_path):
    """An index of several blocks; variables of all kinds of dtypes, one without elements."""
    rows = [v1.get_variable(f"scope_{i % 7}/row_{i}", [1, 3]) for i in range(1500)]
    dtypes = [tf.float16, tf.float64, tf.int8, tf.uint8, tf.int64, tf.bfloat16, tf.complex64]
    others = [v1.get_variable(dtype.name, initializer=tf.cast([1, 2], dtype)) for dtype in dtypes]
    flag = v1.get_variable("flag", initializer=True)
    empty = v1.get_variable("empty", [0, 3])
    text = v1.get_variable("text", initializer=tf.constant(["a", "b"]))
    tf.concat([*rows, empty], 0, name="y")
    small = [tf.cast(v, tf.complex64) for v in (*others, flag)]
    tf.identity(tf.add_n([tf.reduce_sum(v) for v in small]), name="total")
    tf.identity(tf.strings.join([text, "!"])[0] == "a!", name="texts")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver().save(session, str(tmp_path / "c"))
        live = session.run(["y:0", "total:0", "texts:0"])
    path = str(tmp_path / "a.pb")
    fh.freeze_checkpoint(prefix, path, ["y", "total", "texts"])
    for got, want in zip(clean.run(path, {}, ["y:0", "total:0", "texts:0"]), live):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x0a\xff\xff", b"node {", b"PK\3\4 zip"])
def test_graphs_that_are_none(content, graph, tmp_path):
    trained = Trained(tmp_path)
    (tmp_path / "graph").write_bytes(content)
    refused("graph", trained, tmp_path, fh.InvalidFileError, graph=tmp_path / "graph")


def test_wrong_names(graph, tmp_path):
    trained = Trained(tmp_path)
    refused("probs", trained, tmp_path, fh.UnknownNameError, outputs=["prob"])
    refused("no file", trained, tmp_path, graph=str(tmp_path / "none.pb"))
    refused("graph= takes", trained, tmp_path, graph=3)
    with pytest.raises(fh.FreezeError, match=r"no checkpoint .*'model.ckpt-3'"):
        fh.freeze_checkpoint(str(tmp_path / "model.ckpt-4"), str(tmp_path / "o.pb"), ["probs"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(fh.FreezeError, match="has no checkpoint"):
        fh.freeze_checkpoint(tmp_path / "empty", str(tmp_path / "o.pb"), ["probs"])
    (tmp_path / "foreign").write_bytes(b"not a checkpoint" * 100)
    with pytest.raises(fh.InvalidFileError, match="not a checkpoint"):
        fh.freeze_checkpoint(
            tmp_path / "foreign", str(tmp_path / "o.pb"), ["probs"], graph=trained.graph
        )


@pytest.mark.parametrize("is_sharded", [False, True])
@pytest.mark.parametrize("bare", [False, True])
def test_partitioned_variables_of_format_v1(bare, is_sharded, graph, clean, tmp_path):
    """A file holds their slices one by one; the directory's prefix has a pattern of the shards."""
    version = v1.train.SaverDef.V1
    saver = sharded(version) if is_sharded else lambda: v1.train.Saver(write_version=version)
    trained = Trained(tmp_path, saver, partitioner=PARTS)
    given = v1.graph_util.extract_sub_graph(trained.graph.as_graph_def(), ["probs"])
    for number, source in enumerate((trained.prefix, tmp_path)):
        path = str(tmp_path / f"{number}.pb")
        fh.freeze_checkpoint(source, path, graph=given if bare else None, **FREEZE)
        trained.check(clean, path)


def test_values_that_a_saver_changes_are_refused(graph, tmp_path):
    """Without the saver's ops, other values would be read."""
    w, plain = v1.get_variable("w", [3]), v1.get_variable("plain", [3])
    tf.multiply(w, 2.0, name="y")
    tf.multiply(plain, 2.0, name="z")
    path = v1.placeholder_with_default("", [], name="path")
    stored = tf.raw_ops.RestoreV2(
        prefix=path,
        tensor_names=["w", "plain"],
        shape_and_slices=["", ""],
        dtypes=[tf.float32, tf.float32],
    )
    restore = tf.group(v1.assign(w, stored[0] * 2), v1.assign(plain, stored[1]), name="restore")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver().save(session, str(tmp_path / "c"))
    own = v1.train.SaverDef(
        filename_tensor_name=path.name, restore_op_name=restore.name, save_tensor_name=path.name
    )
    meta = v1.train.export_meta_graph(saver_def=own)
    with pytest.raises(fh.NotFreezableError, match=r"'w' is not what the checkpoint holds"):
        fh.freeze_checkpoint(prefix, str(tmp_path / "w.pb"), ["y"], graph=meta)
    fh.freeze_checkpoint(prefix, str(tmp_path / "z.pb"), ["z"], graph=meta)


def test_large_slices_are_whole(graph, tmp_path):
    """Each part of a partitioned variable holds its own rows, bit for bit."""
    trained = Trained(tmp_path, partitioner=PARTS)
    fh.freeze_checkpoint(trained.prefix, str(tmp_path / "a.pb"), **FREEZE)
    found = constants(tmp_path / "a.pb")
    parts = [found[f"net/w/part_{number}"] for number in range(3)]
    whole = v1.train.NewCheckpointReader(trained.prefix).get_tensor("net/w")
    assert np.concatenate(parts).tobytes() == whole.tobytes()

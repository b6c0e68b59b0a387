"""TF.js models: their files, where they stand, their proofs; tests/integration runs them."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from saved_directories import ABOUT, assert_complete, left_over
from small import FEEDS, FREEZE, X, build

import freeze_hooks as fh
from freeze_hooks.cli.group import commands

v1 = tf.compat.v1
MAIN = "model.json"


@pytest.fixture
def session(graph):
    """A session with weights of several dtypes; `graph` is its graph."""
    x = v1.placeholder(tf.float32, [None, 4], name="x")
    w = v1.get_variable("w", [4, 3])
    count = v1.get_variable("count", initializer=np.array([2**31 - 1, -5], np.int64))
    flags = v1.get_variable("flags", initializer=np.array([True, False, True]), trainable=False)
    logits = tf.where(
        tf.tile(flags[None], [tf.shape(x)[0], 1]), tf.matmul(x, w), tf.zeros([1, 3]) * x[:, :3]
    )
    tf.identity(logits, "logits")
    tf.identity(count + 0, "counted")
    with v1.Session() as live:
        live.run(v1.global_variables_initializer())
        yield live


def weights_of(session):
    (w,) = (v for v in v1.global_variables() if v.op.name == "w")
    return session.run(w)


def model_in(path):
    with open(os.path.join(str(path), MAIN)) as file:
        return json.load(file)


def shards_in(path):
    return sorted(name for name in os.listdir(str(path)) if name.endswith(".bin"))


def arrays_in(path):
    """{name: array} of the weights, as the format says."""
    (group,) = model_in(path)["weightsManifest"]
    data = b""
    for name in group["paths"]:
        with open(os.path.join(str(path), name), "rb") as file:
            data += file.read()
    found, place = {}, 0
    for entry in group["weights"]:
        dtype = np.dtype(entry.get("quantization", entry)["dtype"])
        count = int(np.prod(entry["shape"], dtype=int))
        found[entry["name"]] = np.frombuffer(data, dtype, count, place).reshape(entry["shape"])
        place += count * dtype.itemsize
    assert place == len(data)
    return found


@pytest.mark.parametrize("shard_bytes", [1, 7, 4 << 20])
def test_its_files(session, shard_bytes, tmp_path):
    path = str(tmp_path / "m")
    form = fh.TFJS(shard_bytes=shard_bytes)
    artifact = fh.freeze_session(session, path, ["logits", "counted"], format=form, verify=True)
    assert os.listdir(str(tmp_path)) == ["m"]
    shards = shards_in(path)
    assert sorted(os.listdir(path)) == sorted(["assets.extra", MAIN, *shards])
    sizes = [os.path.getsize(os.path.join(path, name)) for name in shards]
    assert max(sizes) <= shard_bytes and sum(size < shard_bytes for size in sizes) <= 1
    about = assert_complete(path)
    assert set(about["files"]) == {MAIN, *shards}
    assert artifact.bytes == sum(sizes) + sum(
        os.path.getsize(os.path.join(path, name)) for name in (MAIN, ABOUT)
    )
    found = arrays_in(path)
    np.testing.assert_array_equal(found["w"], weights_of(session))
    assert found["count"].dtype == np.int32 and found["count"].tolist() == [2**31 - 1, -5]
    assert found["flags"].dtype == bool and found["flags"].tolist() == [True, False, True]
    model = model_in(path)
    names = [f"group1-shard{i + 1}of{len(shards)}.bin" for i in range(len(shards))]
    assert model["weightsManifest"][0]["paths"] == names
    assert model["format"] == "graph-model" and model["convertedBy"].startswith("freeze_hooks")
    assert list(model["signature"]["outputs"]) == ["logits", "counted"]
    assert model["signature"]["inputs"]["x"]["name"] == "x:0"
    assert model["userDefinedMetadata"]["freeze_hooks"]["max_difference"] == 0
    consts = [node for node in model["modelTopology"]["node"] if node["op"] == "Const"]
    assert {node["name"] for node in consts} == set(found)
    assert all("tensorContent" not in node["attr"]["value"]["tensor"] for node in consts)


def test_it_is_read_back_as_a_pb(session, tmp_path):
    outputs = ["logits", "counted"]
    fh.freeze_session(session, str(tmp_path / "m.pb"), outputs)
    fh.freeze_session(session, str(tmp_path / "m"), outputs, format="tfjs")
    value = np.ones([2, 4], np.float32)
    with fh.load_frozen(tmp_path / "m.pb") as file, fh.load_frozen(tmp_path / "m") as model:
        assert model.inputs == file.inputs and model.metadata == file.metadata
        for name, wanted in file(x=value).items():
            np.testing.assert_array_equal(model(x=value)[name], wanted)
    reports = [fh.inspect(tmp_path / name) for name in ("m.pb", "m")]
    assert reports[0].signature == reports[1].signature and reports[0].ops == reports[1].ops
    again = fh.freeze_files(str(tmp_path / "m"), str(tmp_path / "n.pb"), outputs, verify=True)
    assert again.max_difference == 0


def test_float16(session, tmp_path):
    path = str(tmp_path / "m")
    fh.freeze_session(
        session, path, ["logits", "counted"], format="tfjs", weights="float16", verify=True
    )
    wanted = weights_of(session).astype(np.float16)
    assert arrays_in(path)["w"].dtype == np.float16
    np.testing.assert_array_equal(arrays_in(path)["w"], wanted)
    assert "Cast" not in fh.inspect(path).ops
    entries = {e["name"]: e for e in model_in(path)["weightsManifest"][0]["weights"]}
    assert entries["w"]["quantization"] == {"dtype": "float16", "original_dtype": "float32"}
    assert entries["w"]["dtype"] == "float32" and "quantization" not in entries["count"]
    value = np.ones([2, 4], np.float32)
    live = session.run("logits:0", {"x:0": value})
    with fh.load_frozen(path) as model:
        np.testing.assert_allclose(model(x=value)["logits"], live, atol=1e-2)


def test_a_value_that_it_cannot_hold(session, tmp_path):
    count = session.graph.get_tensor_by_name("counted:0")
    (variable,) = (v for v in v1.global_variables() if v.op.name == "count")
    session.run(variable.initializer)
    variable.load(np.array([2**31, 0]), session)
    with pytest.raises(fh.FreezeError, match=r"'count' does not fit.*cannot hold 2147483648"):
        fh.freeze_session(session, str(tmp_path / "m"), [count], format="tfjs")
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("way", [True, "first", fh.Verify(own_process=True)])
def test_a_difference_is_found(way, session, tmp_path, monkeypatch):
    """The bytes that are written are not those of the model."""
    from freeze_hooks.frozen.formats import tfjs_directory

    path = str(tmp_path / "m")
    fh.freeze_session(session, path, ["logits"], format="tfjs", verify=way)
    real = tfjs_directory.stream.chunks_of
    changed = lambda slot, value: (bytes(reversed(bytes(c))) for c in real(slot, value))  # noqa: E731
    monkeypatch.setattr(tfjs_directory.stream, "chunks_of", changed)
    with pytest.raises(fh.NotVerifiedError, match="differs from the live"):
        fh.freeze_session(session, str(tmp_path / "n"), ["logits"], format="tfjs", verify=way)
    assert os.listdir(str(tmp_path)) == ["m"]


@pytest.mark.parametrize("verify", [True, "first"])
def test_beside_checkpoints(verify, graph, tmp_path):
    """They go with their checkpoint, and `verify=` proves each."""
    train_op = build()
    hook = fh.FreezeHook(format="tfjs", verify=verify, strict=True, latest=True, **FREEZE)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path),
        hooks=[hook],
        save_checkpoint_steps=2,
        save_checkpoint_secs=None,
        scaffold=v1.train.Scaffold(saver=v1.train.Saver(max_to_keep=2)),
    ) as session:
        for _ in range(8):
            session.run(train_op, FEEDS)
        live = session.run("probs:0", {"net/x:0": X, "net/is_training:0": False})
    there = sorted(name for name in os.listdir(str(tmp_path)) if name.endswith(".tfjs"))
    assert there == ["latest.tfjs", "model.ckpt-6.tfjs", "model.ckpt-8.tfjs"]
    assert os.path.realpath(str(tmp_path / "latest.tfjs")).endswith("model.ckpt-8.tfjs")
    assert not left_over(tmp_path)
    for name in there:
        assert_complete(tmp_path / name)
    with fh.load_frozen(tmp_path / "latest.tfjs") as model:
        np.testing.assert_allclose(model({"net/x": X})["probs"], live, rtol=1e-6)
    with open(str(tmp_path / "frozen_state.json")) as file:
        assert set(json.load(file)) == {".tfjs"}


def test_in_a_directory_of_steps(graph, tmp_path):
    train_op, out = build(), str(tmp_path / "page")
    more = {"output_dir": out, "save_steps": 2, "save_best_only": True, "monitor": "score"}
    scores = iter([3.0, 1.0, 2.0, 0.5])
    hook = fh.FreezeHook(
        format="tfjs", evaluate=lambda session, step: {"score": next(scores)}, **more, **FREEZE
    )
    every = fh.FreezeHook(format="tfjs", output_dir=out, save_steps=2, keep=2, **FREEZE)
    with v1.train.SingularMonitoredSession(hooks=[hook, every]) as session:
        for _ in range(6):
            session.run(train_op, FEEDS)
    steps = [name for name in os.listdir(out) if name.isdigit()]
    (best,) = (name for name in os.listdir(os.path.join(out, "best")) if name.isdigit())
    assert len(steps) == 2
    assert fh.load_frozen(os.path.join(out, "best", best)).metadata["metrics"]["score"] <= 1
    with pytest.raises(fh.FreezeError, match=r"TF\.js models of another training"):
        fh.FreezeHook(format="saved_model", output_dir=out, save_steps=2, **FREEZE).begin()


def test_a_killed_program_s_rest_goes(session, tmp_path):
    rest = tmp_path / ".m.0123456789ab.saved_model.tmp"
    rest.mkdir()
    (rest / MAIN).write_bytes(b"{")
    from freeze_hooks.storage import locks

    assert locks.sweep(str(tmp_path)) == [rest.name] and not rest.exists()


@pytest.mark.parametrize("verify", [None, True])
def test_on_a_remote_path(session, verify, remote):
    for outputs in (["logits"], ["logits", "counted"]):
        path = f"{remote}/page/m"
        fh.freeze_session(session, path, outputs, format=fh.TFJS(50), verify=verify)
        value = np.ones([2, 4], np.float32)
        with fh.load_frozen(path) as model:
            found = model(x=value)
        np.testing.assert_array_equal(found["logits"], session.run("logits:0", {"x:0": value}))


def test_by_the_command(session, tmp_path):
    prefix = v1.train.Saver().save(session, str(tmp_path / "run" / "model"), 7)
    out = str(tmp_path / "m")
    asked = ["freeze", prefix, "--outputs", "logits", "--format", "tfjs", "-o", out, "--verify"]
    for command in (asked, ["inspect", out], ["verify", out, "--against", prefix]):
        found = CliRunner().invoke(commands, command, catch_exceptions=False)
        assert found.exit_code == 0, found.output
    fh.freeze_session(session, str(tmp_path / "m.pb"), ["logits"])
    for pair in ([str(tmp_path / "m.pb"), out], [out, str(tmp_path / "m.pb")]):
        command = ["verify", pair[0], "--against", pair[1]]
        found = CliRunner().invoke(commands, command, catch_exceptions=False)
        assert found.exit_code == 0 and "agrees" in found.output, found.output


@pytest.mark.parametrize(
    "options, message",
    [
        ({"weights": "bfloat16"}, "weights='bfloat16' is no dtype of format='tfjs'.*'float16'"),
        ({"format": "tfj"}, "'tfj'; did you mean 'tfjs'"),
    ],
)
def test_what_is_said_at_once(options, message):
    with pytest.raises(fh.FreezeError, match=message):
        fh.FreezeHook(outputs=["y"], **{"format": "tfjs", **options})


@pytest.mark.parametrize("size", [0, -1, 2.5, True, None])
def test_a_wrong_size_of_shards(size):
    with pytest.raises(fh.FreezeError, match="shard_bytes= is a number of bytes"):
        fh.TFJS(shard_bytes=size)


def test_a_shape_that_only_the_value_tells(graph, tmp_path):
    x = v1.placeholder(tf.float32, [None, 2], "x")
    w = v1.Variable(tf.ones([2, 3]), validate_shape=False, shape=None, use_resource=False)
    tf.matmul(x, w, name="y")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        path = str(tmp_path / "m")
        fh.freeze_session(session, path, ["y"], format=fh.TFJS(10), verify=True)
    assert shards_in(path) == ["group1-shard1.bin", "group1-shard2.bin", "group1-shard3.bin"]

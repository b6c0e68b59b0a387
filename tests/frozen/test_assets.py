"""Metadata and assets in files and SavedModels: where they stand, and how they are read back."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import xxhash
from frozen_files import read_graph_def
from lacking import lacking
from saved_directories import ABOUT, assert_complete

import freeze_hooks as fh
from freeze_hooks.frozen import wire
from freeze_hooks.frozen.reader import assets_in
from freeze_hooks.plan.carried import AT_MOST

v1 = tf.compat.v1
X = np.arange(8, dtype=np.float32).reshape(2, 4)
LABELS = "cat\ndög\n".encode()
NOISE = np.random.RandomState(0).bytes(100_000)
ASSETS = {"labels.txt": ["cat", "dög"], "sub/noise.bin": NOISE, "empty": b""}
WANTED = {"labels.txt": LABELS, "sub/noise.bin": NOISE, "empty": b""}
METADATA = {"version": "1.2", "sizes": [1, 2], "nested": {"a": None}, "é": "ü\u2028"}
CARRIED = {"custom_metadata": METADATA, "assets": ASSETS}


@pytest.fixture
def session(graph):
    """A small live net; the node with the description is not the last one."""
    x = v1.placeholder(tf.float32, [None, 4], "x")
    y = tf.matmul(x, v1.get_variable("w", [4, 3]), name="y")
    tf.nn.softmax(y + v1.get_variable("b", [3]), name="probs")
    with v1.Session() as live:
        live.run(v1.global_variables_initializer())
        yield live


def live_answers(session):
    return session.run({"y": "y:0", "probs": "probs:0"}, {"x:0": X})


def freeze(session, path, **more):
    return fh.freeze_session(session, str(path), ["y", "probs"], **dict(CARRIED, **more))


def assert_carries(path):
    with fh.load_frozen(str(path)) as model:
        assert dict(model.assets) == WANTED and model.custom_metadata == METADATA
        assert not [node for node in model.graph_def.node if wire.ASSETS in node.attr]
        answers = model(x=X)
    report = fh.inspect(str(path))
    assert report.custom_metadata == METADATA
    assert report.assets == {name: len(data) for name, data in WANTED.items()}
    return answers


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"optimize": True},
        {"weights": "float16"},
        {"verify": True},
        {"format": "saved_model"},
        {"format": "saved_model", "verify": True},
        {"format": fh.SavedModel(variables=True)},
        {"format": fh.SavedModel(variables=True), "verify": True},
    ],
    ids=str,
)
def test_they_come_back_and_change_no_answer(session, more, tmp_path):
    artifact = freeze(session, tmp_path / "with", **more)
    plain = fh.freeze_session(session, str(tmp_path / "plain"), ["y", "probs"], **more)
    with fh.load_frozen(plain.path) as model:
        wanted = model(x=X)
        assert model.custom_metadata == {} and dict(model.assets) == {}
    for name, value in assert_carries(artifact.path).items():
        np.testing.assert_array_equal(value, wanted[name])
    assert artifact.signature == plain.signature and artifact.bytes > plain.bytes
    if "format" in more:
        assert_complete(artifact.path)


def test_bytes_in_the_file(session, clean, tmp_path):
    """One attribute of the described node, after the description; other readers pass over it."""
    path = tmp_path / "m.pb"
    artifact = freeze(session, path)
    (node,) = (n for n in read_graph_def(path).node if "_freeze_hooks" in n.attr)
    assert node.name == "y"
    assert node.attr["_freeze_hooks_assets"].s == b"".join(WANTED[n] for n in sorted(WANTED))
    about = json.loads(node.attr["_freeze_hooks"].s.decode())
    assert about["custom_metadata"] == METADATA
    assert about["assets"] == {
        name: {
            "bytes": len(data),
            "hash": {"algorithm": "xxh3_64", "value": xxhash.xxh3_64(data).hexdigest()},
        }
        for name, data in WANTED.items()
    }
    beside = json.loads((tmp_path / "m.pb.json").read_text())
    assert beside["hash"]["value"] == artifact.hash == xxhash.xxh3_64(path.read_bytes()).hexdigest()
    assert {key: beside[key] for key in about} == about
    assert b"c\xc3\xb6g" not in (tmp_path / "m.pb.json").read_bytes()
    assert path.stat().st_size == artifact.bytes
    for name, value in live_answers(session).items():
        (found,) = clean.run(str(path), {"x:0": X}, [name + ":0"])
        np.testing.assert_allclose(found, value, rtol=1e-6)


def test_files_of_a_saved_model(session, tmp_path):
    """The graph has no copy of them; TensorFlow's loader does not look at them."""
    path = tmp_path / "m"
    freeze(session, path, format="saved_model")
    about = assert_complete(path)
    assert set(about["files"]) == {"saved_model.pb"} | {"assets.extra/" + n for n in WANTED}
    assert about["custom_metadata"] == METADATA and set(about["assets"]) == set(WANTED)
    for name, data in WANTED.items():
        assert (path / "assets.extra" / name).read_bytes() == data
    assert NOISE not in (path / "saved_model.pb").read_bytes()
    assert b"_freeze_hooks_assets" not in (path / "saved_model.pb").read_bytes()
    with tf.Graph().as_default(), v1.Session() as other:
        v1.saved_model.loader.load(other, ["serve"], str(path))
        for name, value in live_answers(session).items():
            np.testing.assert_allclose(other.run(name + ":0", {"x:0": X}), value, rtol=1e-6)


def test_a_remote_saved_model(session, remote):
    path = remote + "/m"
    freeze(session, path, format="saved_model")
    assert_carries(path)


def test_large_values_stay_aligned(graph, tmp_path):
    w = v1.get_variable("w", [200, 300])
    b = v1.get_variable("b", [300, 200])
    y = tf.matmul(v1.placeholder(tf.float32, [None, 200], "x"), w, name="y")
    tf.matmul(y, b, name="z")
    with v1.Session() as live:
        live.run(v1.global_variables_initializer())
        fh.freeze_session(live, str(tmp_path / "m.pb"), ["y", "z"], **CARRIED)
        artifact = fh.freeze_session(
            live, str(tmp_path / "m"), ["y", "z"], format="saved_model", **CARRIED
        )
        values = [value.tobytes() for value in live.run([w, b])]
    for name in ("m.pb", "m/saved_model.pb"):
        data = (tmp_path / name).read_bytes()
        assert [data.index(value) % 64 for value in values] == [0, 0]
    sizes = [p.stat().st_size for p in (tmp_path / "m").rglob("*") if p.is_file()]
    assert artifact.bytes == sum(sizes)


def test_the_largest(session, tmp_path):
    large = np.random.RandomState(1).bytes(AT_MOST)
    freeze(session, tmp_path / "m.pb", assets={"large": large})
    with fh.load_frozen(str(tmp_path / "m.pb")) as model:
        assert model.assets["large"] == large


def test_nothing_is_noted_without_them(session, tmp_path):
    freeze(session, tmp_path / "m.pb", custom_metadata=None, assets=None)
    about = json.loads((tmp_path / "m.pb.json").read_text())
    assert not {"custom_metadata", "assets"} & set(about)
    assert b"_freeze_hooks_assets" not in (tmp_path / "m.pb").read_bytes()


def test_a_look_needs_no_tensorflow(session, tmp_path):
    freeze(session, tmp_path / "m.pb")
    script = (
        "import sys; from freeze_hooks.cli import main\n"
        "try: main()\n"
        "finally: assert 'tensorflow.python' not in sys.modules\n"
    )
    command = [sys.executable, "-c", script, "inspect", str(tmp_path / "m.pb")]
    done = subprocess.run([*command, "--asset", "labels.txt"], stdout=subprocess.PIPE, check=True)
    assert done.stdout == LABELS


def change(path, act):
    """Change the described node of a file, and write it as another program would."""
    graph_def = read_graph_def(path)
    (node,) = (n for n in graph_def.node if "_freeze_hooks" in n.attr)
    about = json.loads(node.attr["_freeze_hooks"].s.decode())
    act(node.attr, about)
    node.attr["_freeze_hooks"].s = json.dumps(about).encode()
    with open(str(path), "wb") as file:
        file.write(graph_def.SerializeToString())


def flipped(attr, about):
    data = bytearray(attr["_freeze_hooks_assets"].s)
    data[3] ^= 1
    attr["_freeze_hooks_assets"].s = bytes(data)


def shortened(attr, about):
    attr["_freeze_hooks_assets"].s = attr["_freeze_hooks_assets"].s[:-1]


def lengthened(attr, about):
    attr["_freeze_hooks_assets"].s += b"x"


def removed(attr, about):
    del attr["_freeze_hooks_assets"]


def of_another_kind(attr, about):
    attr["_freeze_hooks_assets"].i = 3


def swapped_sizes(attr, about):
    sizes = [about["assets"][name]["bytes"] for name in ("labels.txt", "sub/noise.bin")]
    for name, size in zip(("sub/noise.bin", "labels.txt"), sizes):
        about["assets"][name]["bytes"] = size


def not_noted(attr, about):
    del about["assets"]


DAMAGED = [flipped, shortened, lengthened, removed, of_another_kind, swapped_sizes, not_noted]


@pytest.mark.parametrize("damage", DAMAGED, ids=lambda damage: damage.__name__)
def test_damaged_assets_are_never_read(session, damage, tmp_path):
    path = tmp_path / "m.pb"
    freeze(session, path)
    change(path, damage)
    with fh.load_frozen(str(path)) as model:
        for _ in range(2):
            with pytest.raises(fh.InvalidFileError, match=r"m\.pb.*changed or damaged"):
                model.assets  # noqa: B018
        np.testing.assert_allclose(model(x=X)["y"], live_answers(session)["y"], rtol=1e-6)
    with pytest.raises(fh.InvalidFileError, match="changed or damaged"):
        assets_in(str(path))


def noted(name="a", size=1, **more):
    known = {"algorithm": "xxh3_64", "value": "0" * 16}
    return {name: {"bytes": size, "hash": dict(known, **more)}}


@pytest.mark.parametrize(
    "assets, error",
    [
        (3, "broken at assets"),
        ([], "broken at assets"),
        ({"a": 3}, "broken at assets"),
        ({"a": {"bytes": 1}}, "broken at assets"),
        (noted(size="1"), "has the length '1'"),
        (noted(size=-1), "has the length -1"),
        (noted(size=True), "has the length True"),
        (noted(size=1.0), "has the length 1.0"),
        (noted(size=1 << 62), "over the 16,777,216"),
        (noted("../a"), r'"\.\."'),
        (noted("/etc/passwd"), "absolute"),
        (noted(algorithm="md5"), "'md5'"),
    ],
)
def test_descriptions_that_are_wrong(session, assets, error, tmp_path):
    path = tmp_path / "m.pb"
    freeze(session, path)
    change(path, lambda attr, about: about.update(assets=assets))
    with pytest.raises(fh.InvalidFileError, match=error):
        fh.inspect(str(path))
    with fh.load_frozen(str(path)) as model, pytest.raises(fh.InvalidFileError, match=error):
        model.assets  # noqa: B018


@pytest.mark.parametrize("custom", [3, [], "text", None])
def test_metadata_that_is_no_object(session, custom, tmp_path):
    path = tmp_path / "m.pb"
    freeze(session, path)
    change(path, lambda attr, about: about.update(custom_metadata=custom))
    for read in (fh.inspect, fh.load_frozen):
        with pytest.raises(fh.InvalidFileError, match="custom_metadata is not an object"):
            read(str(path))


def cut(path):
    os.truncate(str(path), path.stat().st_size - 1)


def other_bytes(path):
    path.write_bytes(bytes(path.stat().st_size))


def enlarged(path):
    os.truncate(str(path), 1 << 40)  # of which no byte is read


def as_a_directory(path):
    path.unlink()
    path.mkdir()


def deleted(path):
    path.unlink()


@pytest.mark.parametrize(
    "damage", [cut, other_bytes, enlarged, as_a_directory, deleted], ids=lambda d: d.__name__
)
def test_damaged_files_of_a_saved_model(session, damage, tmp_path):
    path = tmp_path / "m"
    freeze(session, path, format="saved_model")
    damage(path / "assets.extra" / "sub" / "noise.bin")
    damaged = pytest.raises(fh.InvalidFileError, match=r"sub/noise\.bin")
    with fh.load_frozen(str(path)) as model, damaged:
        model.assets  # noqa: B018


def test_a_saved_model_that_was_made_of_a_file(session, tmp_path):
    artifact = freeze(session, tmp_path / "m.pb")
    made = fh.to_saved_model()(artifact)
    answers, wanted = assert_carries(made), assert_carries(artifact.path)
    for name, value in wanted.items():
        np.testing.assert_array_equal(answers[name], value)
    about = assert_complete(made)
    assert set(about["files"]) == {"saved_model.pb"} | {"assets.extra/" + n for n in WANTED}
    change(artifact.path, flipped)
    with pytest.raises(fh.InvalidFileError, match="changed or damaged"):
        fh.to_saved_model(str(tmp_path / "other"))(artifact)
    assert not (tmp_path / "other").exists()


def test_a_frozen_file_does_not_pass_them_on(session, tmp_path):
    """What is frozen again carries what it is given then."""
    for form in ("pb", "saved_model"):
        source = freeze(session, tmp_path / form, format=form)
        again = fh.freeze_files(source.path, str(tmp_path / "again.pb"), ["probs"])
        report = fh.inspect(again.path)
        assert report.assets == {} and report.custom_metadata == {}
        assert NOISE not in (tmp_path / "again.pb").read_bytes()


@pytest.mark.parametrize("form", ["pb", "saved_model"])
def test_onnx_has_the_metadata(session, form, tmp_path):
    reason = lacking("onnx")
    if reason:
        pytest.skip(reason)
    import onnxruntime

    metadata = dict(METADATA, ratio=np.float32(0.25))
    artifact = freeze(session, tmp_path / "m", custom_metadata=metadata, format=form)
    made = fh.to_onnx(str(tmp_path / "m.onnx"))(artifact)
    found = onnxruntime.InferenceSession(made).get_modelmeta().custom_metadata_map
    assert found == {
        "version": "1.2",
        "sizes": "[1, 2]",
        "nested": '{"a": null}',
        "é": "ü\u2028",
        "ratio": "0.25",
    }
    assert NOISE[:50] not in (tmp_path / "m.onnx").read_bytes()


@pytest.mark.parametrize("program", ["opencv", "openvino", "tflite"])
def test_other_programs_read_the_file(session, program, tmp_path, monkeypatch):
    reason = lacking(program)
    if reason:
        pytest.skip(reason)
    # TensorFlow 1.15 converts in a program that came with it, as an activated environment has it
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable), prepend=os.pathsep)
    from consumed import Case
    from consumers import programs

    y = session.run("probs:0", {"x:0": X})
    artifact = fh.freeze_session(session, str(tmp_path / "m.pb"), ["probs"], **CARRIED)
    with programs(tmp_path) as found:
        np.testing.assert_allclose(found[program](Case(artifact, X, y), tmp_path), y, atol=1e-5)


def test_the_description_s_file(session, tmp_path):
    path = tmp_path / "m"
    freeze(session, path, format="saved_model", custom_metadata={"a": 1}, assets=None)
    about = json.loads((path / ABOUT).read_text())
    assert about["custom_metadata"] == {"a": 1} and "assets" not in about

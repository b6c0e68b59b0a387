"""custom_metadata= and assets=: what they take, what they refuse, and when files are read."""

import enum
import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

import freeze_hooks as fh
from freeze_hooks.plan.carried import AT_MOST, Carried, checked_metadata
from freeze_hooks.plan.file_options import PLAIN, FileOptions


class Kind(str, enum.Enum):
    GOOD = "good"


class Level(enum.IntEnum):
    HIGH = 3


def test_numbers_of_numpy_become_those_of_python():
    given = {
        "half": np.float32(0.5),
        "count": np.int64(7),
        "yes": np.bool_(True),
        "zero": np.array(2.5),
        "text": np.str_("a"),
        "kind": Kind.GOOD,
        "level": Level.HIGH,
        "nested": {"of": [1, (2, np.uint8(3)), None, False, "é\u2028\ud800"]},
        "large": 2**70,
        "": "an empty key",
    }
    found = checked_metadata(given)
    wanted = {
        "half": 0.5,
        "count": 7,
        "yes": True,
        "zero": 2.5,
        "text": "a",
        "kind": "good",
        "level": 3,
        "nested": {"of": [1, [2, 3], None, False, "é\u2028\ud800"]},
        "large": 2**70,
        "": "an empty key",
    }
    assert found == wanted and json.loads(json.dumps(found)) == wanted
    assert type(found["half"]) is float and type(found["count"]) is int
    assert found["yes"] is True and type(found["kind"]) is str and type(found["level"]) is int


def test_it_is_a_copy():
    given = {"labels": ["a"]}
    found = checked_metadata(given)
    given["labels"].append("b")
    assert found == {"labels": ["a"]}


circle = {}
circle["self"] = [circle]


@pytest.mark.parametrize(
    "given, error",
    [
        (3, r"custom_metadata= is a dict or a function \(step, metrics\) -> dict, not 3"),
        ([("a", 1)], "is a dict or a function"),
        ({"a": float("nan")}, r"custom_metadata\['a'\] is nan, which JSON does not have"),
        ({"a": [1, np.float32("inf")]}, r"custom_metadata\['a'\]\[1\] is inf"),
        ({"a": {1, 2}}, r"\['a'\] is of type set, .*sorted"),
        ({"a": b"x"}, r"\['a'\] is of type bytes, .*assets="),
        ({"a": np.zeros(2)}, r"\['a'\] is of type ndarray, .*array.tolist\(\)"),
        ({"a": np.datetime64("2020-01-01")}, r"\['a'\] is of type date"),
        ({"a": object()}, r"\['a'\] is of type object, and JSON has text"),
        ({"a": tf.Variable}, r"\['a'\] is of type "),
        ({1: "a"}, "has the key 1, and keys of JSON are text"),
        ({"a": {None: 1}}, r"\['a'\] has the key None"),
        (circle, "or holds itself"),
        (lambda: {}, r"is called as function\(step, metrics\)"),
        (lambda step, metrics, more: {}, r"is called as function\(step, metrics\)"),
    ],
)
def test_metadata_that_is_refused(given, error):
    with pytest.raises(fh.FreezeError, match=error):
        FileOptions(custom_metadata=given).checked()


def test_a_function_is_called_at_each_save():
    calls = []

    def noted(step, metrics):
        calls.append((step, metrics))
        return {"lr": np.float32(0.25), **metrics}

    carried = FileOptions(custom_metadata=noted).checked().loaded().carried
    assert not calls
    assert carried.metadata_at(3, {"loss": 0.5}) == {"lr": 0.25, "loss": 0.5}
    assert calls == [(3, {"loss": 0.5})]


@pytest.mark.parametrize(
    "function, error",
    [
        (lambda step, metrics: None, "must return a dict, not None"),
        (lambda step, metrics: {"a": float("nan")}, r"custom_metadata\['a'\] is nan"),
        (lambda step, metrics: {"a": 1 / 0}, "failed: ZeroDivisionError"),
    ],
)
def test_a_function_that_gives_something_else(function, error):
    with pytest.raises(fh.FreezeError, match=error):
        Carried(function).metadata_at(1, {})


def test_contents(tmp_path):
    path = tmp_path / "b.bin"
    path.write_bytes(b"\x00\xff\n")
    given = {
        "sub/labels.txt": ["cat", "dög", ""],
        "none.txt": [],
        "path": str(path),
        "path object": pathlib.Path(str(path)),
        "bytes": b"\xff",
        "array": bytearray(b"ab"),
        "view": memoryview(b"cd"),
        "tuple": ("x",),
        "empty": b"",
    }
    wanted = {
        "sub/labels.txt": "cat\ndög\n\n".encode(),
        "none.txt": b"",
        "path": b"\x00\xff\n",
        "path object": b"\x00\xff\n",
        "bytes": b"\xff",
        "array": b"ab",
        "view": b"cd",
        "tuple": b"x\n",
        "empty": b"",
    }
    options = FileOptions(assets=given).checked()
    loaded = options.loaded()
    assert loaded.assets == wanted and list(loaded.assets) == sorted(wanted)
    assert loaded.checked() == loaded.checked().loaded()
    path.write_bytes(b"other")
    assert loaded.loaded().carried.assets == wanted  # read once
    assert options.loaded().assets["path"] == b"other"
    assert not PLAIN.loaded().carried.assets


def test_remote_paths(remote):
    path = remote + "/labels.txt"
    with tf.io.gfile.GFile(path, "w") as file:
        file.write("a\n")
    assert FileOptions(assets={"labels.txt": path}).loaded().assets == {"labels.txt": b"a\n"}
    with pytest.raises(fh.FreezeError, match=r"cannot read .*none\.txt"):
        FileOptions(assets={"labels.txt": remote + "/none.txt"}).loaded()


@pytest.mark.parametrize(
    "given, error",
    [
        (["labels.txt"], "assets= is a dict"),
        ({3: b""}, "the name 3, which is no text"),
        ({"": b""}, "which is empty"),
        ({"/etc/labels.txt": b""}, "absolute"),
        ({"../labels.txt": b""}, r'"\.\."'),
        ({"a/../b": b""}, r'"\.\."'),
        ({"./a": b""}, "part that is empty"),
        ({"a//b": b""}, "part that is empty"),
        ({"a/": b""}, "part that is empty"),
        ({"a\\b": b""}, "backslash"),
        ({"a\nb": b""}, "characters"),
        ({"a\0": b""}, "characters"),
        ({"\ud800": b""}, "characters"),
        ({"é" * 128: b""}, "longer than 255 bytes"),
        ({"freeze_hooks.json": b""}, "SavedModel uses"),
        ({"tf_serving_warmup_requests": b""}, "SavedModel uses"),
        ({"Freeze_Hooks.json/a": b""}, "SavedModel uses"),
        ({"a": b"", "a/b": b""}, "as a file, and as the folder of 'a/b'"),
        ({"a": 3}, "takes a path, bytes or a list of lines for 'a', not int"),
        ({"a": None}, "not NoneType"),
        ({"a": np.array(["x"])}, r"array.tolist\(\)"),
        ({"a": ["x", 3]}, "has 3 as line 1 of 'a'"),
        ({"a": ["x\n"]}, "more than one line"),
        ({"a": ["\ud800"]}, "not Unicode"),
        ({"a": bytes(AT_MOST), "b": b"x"}, "16,777,217 bytes, over the 16,777,216 .*'a' 16,777,21"),
    ],
)
def test_assets_that_are_refused(given, error):
    with pytest.raises(fh.FreezeError, match=error):
        FileOptions(assets=given).checked()


def test_files_that_cannot_be_taken(tmp_path):
    missing = str(tmp_path / "missing.txt")
    options = FileOptions(assets={"labels.txt": missing}).checked()
    with pytest.raises(fh.FreezeError, match=r"missing\.txt' for 'labels\.txt': No such"):
        options.loaded()
    with pytest.raises(fh.FreezeError, match="cannot read"):
        FileOptions(assets={"labels.txt": str(tmp_path)}).loaded()
    large = tmp_path / "large"
    with open(str(large), "wb") as file:
        file.truncate(1 << 40)  # of which no byte is read
    with pytest.raises(fh.FreezeError, match="'large' 1,099,511,627,776"):
        FileOptions(assets={"large": str(large), "small": b"x"}).loaded()
    os.truncate(str(large), AT_MOST)
    assert len(FileOptions(assets={"large": str(large)}).loaded().assets["large"]) == AT_MOST

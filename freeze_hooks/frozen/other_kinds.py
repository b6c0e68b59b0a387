"""Errors for files and directories that are not graphs: each says what it is, and what to do."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from typing import Any, Callable, Iterable, List, Optional, Sequence, Tuple

from google.protobuf.message import DecodeError

from .._protos import MetaGraphDef, SavedModel, parse
from ..errors import FreezeError, InvalidFileError, NotAFileError, near
from ..storage.filesystem import read
from ..storage.listing import exists, is_directory
from ..storage.listing import names as names_in

_HEAD = 4096  # bytes: the start of a file that is searched
_TABLE_END = bytes.fromhex("57fb808b247547db")  # the magic number at the end of LevelDB's tables
_TEXT = re.compile(rb"\s*(#[^\n]*\n\s*)*(node|versions|library|meta_info_def|graph_def)\s*[:{]")
_PAGE = re.compile(rb"\s*(<!doctype html|<html|<head|<\?xml[^>]*>\s*<(!doctype html|html))", re.I)
_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,80})", re.I)
# what to do instead
_KERAS = "load it with keras.models.load_model and give the model to fh.freeze_keras_model"
_WEIGHTS = (
    "build the model, call its load_weights with this file, and give it to fh.freeze_keras_model"
)
_CONVERTED = "freeze the model that it was converted from"
_CHECKPOINT = "fh.freeze_checkpoint takes its prefix"
_UNPACK = "unpack it, and give what is in it"

_MAGIC: Sequence[Tuple[bytes, str, str]] = (
    (b"\x1f\x8b", "compressed (gzip)", "unpack it: gunzip"),
    (b"BZh", "compressed (bzip2)", "unpack it: bunzip2"),
    (b"\xfd7zXZ\0", "compressed (xz)", "unpack it: unxz"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)", "unpack it: unzstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (b"\x93NUMPY", "a NumPy array (.npy)", "it has no graph: freeze the model that uses it"),
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer",
        "get the file: git lfs pull",
    ),
    (b"GGUF", "a GGUF file, of llama.cpp", "TensorFlow has no reader for it"),
    (b"model_checkpoint_path:", "the list of a directory's checkpoints", _CHECKPOINT),
    (b"\x89PNG", "a picture", "give a graph"),
    (b"\xff\xd8\xff", "a picture", "give a graph"),
    (b"%PDF", "a PDF document", "give a graph"),
    (b"\x7fELF", "a program or library of machine code", "give a graph"),
)


def told(path: str, data: bytes, takes_text: bool = False) -> Optional[InvalidFileError]:
    """Return an error if a file's content or name shows that it is not a graph; else None.

    With `takes_text`, a text GraphDef is a graph, too.
    """
    for look in _LOOKS:
        found = look(path, data)
        if found is not None and not (takes_text and look is _text):
            return InvalidFileError("{} is {}: {}".format(path, *found))
    return None


def told_at(path: str) -> Optional[InvalidFileError]:
    """Return an error that says what is at a path; None if nothing is there, or it is unknown."""
    if is_directory(path):
        return told_directory(path)
    if not exists(path):
        return None
    return told(path, read(path))


def nothing_at(path: str) -> FreezeError:
    """Return the error to raise for a path where nothing is; it lists similar names there."""
    directory, base = os.path.split(path.rstrip("/"))
    if not is_directory(directory or "."):
        return FreezeError(f"there is no {path!r}, nor a directory {directory!r}")
    names = names_in(directory or ".")
    names += [name[: -len(".index")] for name in names if name.endswith(".index")]
    close = [os.path.join(directory, name) for name in near(base, sorted(names))]
    if not close:
        return FreezeError(f"there is no {path!r}, nor anything of a similar name")
    return FreezeError("there is no {!r}: did you mean {}?".format(path, ", ".join(close)))


_Found = Optional[Tuple[str, str]]


def _empty(path: str, data: bytes) -> _Found:
    if data.strip(b"\0"):
        return None
    what = "all zeros" if data else "empty (0 bytes)"
    return what, "writing or copying it was interrupted, or the disk was full: write it anew"


def _magic(path: str, data: bytes) -> _Found:
    return next(((what, how) for start, what, how in _MAGIC if data.startswith(start)), None)


def _page(path: str, data: bytes) -> _Found:
    if not _PAGE.match(data[:_HEAD]):
        return None
    title = _TITLE.search(data[:_HEAD])
    shown = " titled {!r}".format(title.group(1).decode(errors="replace").strip()) if title else ""
    return f"a web page{shown}", "the download failed: check that the address is the file's"


def _xml(path: str, data: bytes) -> _Found:
    if not data.lstrip().startswith(b"<?xml"):
        return None
    return ("an OpenVINO model", _CONVERTED) if b"<net" in data[:_HEAD] else ("XML", "give a graph")


def _zip(path: str, data: bytes) -> _Found:
    if not data.startswith(b"PK\3\4"):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, OSError):
        return "a zip archive that is cut short", "it may be a .keras or .pt file: get it anew"
    ends = {os.path.basename(name) for name in names}
    if "model.weights.h5" in ends:
        return "a Keras model (.keras)", _KERAS
    if {"data.pkl", "constants.pkl"} & ends:
        return "a PyTorch model", "TensorFlow has no reader for it: export it to TensorFlow first"
    if "saved_model.pb" in ends:
        return "a zip archive with a SavedModel", "unpack it, and give its directory"
    if names and all(name.endswith(".npy") for name in names):
        return "NumPy arrays (.npz)", "it has no graph: freeze the model that uses them"
    return "a zip archive", _UNPACK


def _hdf5(path: str, data: bytes) -> _Found:
    if not data.startswith(b"\x89HDF\r\n\x1a\n"):
        return None
    whole = not path.endswith(".weights.h5") and b"model_config" in data
    return ("a Keras model (HDF5)", _KERAS) if whole else ("weights of Keras (HDF5)", _WEIGHTS)


def _lite(path: str, data: bytes) -> _Found:
    return ("a TensorFlow Lite model", _CONVERTED) if data[4:8] == b"TFL3" else None


def _tar(path: str, data: bytes) -> _Found:
    return ("a tar archive", _UNPACK) if data[257:262] == b"ustar" else None


def _safetensors(path: str, data: bytes) -> _Found:
    length = int.from_bytes(data[:8], "little")
    if data[8:9] != b"{" or length > 100 << 20 or b'"dtype"' not in data[: 8 + length]:
        return None
    return "weights alone (safetensors)", "load them into their model, and freeze that"


def _pickle(path: str, data: bytes) -> _Found:
    if data[:1] != b"\x80" or data[1:2] not in (b"\2", b"\3", b"\4", b"\5"):
        return None
    return "pickled Python objects (of PyTorch, scikit-learn...)", "nothing here unpickles them"


def _json(path: str, data: bytes) -> _Found:
    if data.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        found = json.loads(data.decode())
    except (ValueError, RecursionError):
        return None
    keys = set(found) if isinstance(found, dict) else set()
    if {"format", "signature"} <= keys:
        file = path[: -len(".json")] if path.endswith(".json") else "the .pb beside it"
        return "the description of a frozen file", f"that is {file}"
    if "modelTopology" in keys:
        return "a TensorFlow.js model", _CONVERTED
    if {"class_name", "config"} <= keys:
        return "the architecture of a Keras model, without weights", _WEIGHTS.replace(
            "this file", "the weights' file"
        )
    return "JSON", "give a graph"


def _checkpoint(path: str, data: bytes) -> _Found:
    named = re.search(r"\.(index|data-\d+-of-\d+)\Z", path)
    if not named and not data.endswith(_TABLE_END):
        return None
    return (
        "a part of a checkpoint",
        f"{_CHECKPOINT}, {(path[: named.start()] if named else path)!r}",
    )


def _events(path: str, data: bytes) -> _Found:
    if ".tfevents." in os.path.basename(path):
        return "events for TensorBoard", "give a graph"
    is_record = re.search(r"\.tfrecords?\Z", path)
    return ("TFRecords, which are examples", "give a graph") if is_record else None


def _text(path: str, data: bytes) -> _Found:
    if not _TEXT.match(data[:_HEAD]):
        return None
    how = 'fh.freeze_files(path, "model.pb", outputs) writes it as a binary one'
    return "a graph as text (.pbtxt)", how


def _saved_model(path: str, data: bytes) -> _Found:
    if data[:1] != b"\x08" or not _holds(SavedModel(), data, lambda m: bool(m.meta_graphs)):
        return None
    return "a SavedModel's graph", f"give its directory, {os.path.dirname(path) or '.'!r}"


def _meta_graph(path: str, data: bytes) -> _Found:
    if data[:1] != b"\x0a" or not _holds(MetaGraphDef(), data, _is_meta_graph):
        return None
    return "a MetaGraphDef, of the checkpoint beside it", _CHECKPOINT


def _is_meta_graph(message: Any) -> bool:
    nodes = message.graph_def.node
    return bool(nodes) and all(node.name and node.op for node in nodes)


def _holds(message: Any, data: bytes, is_whole: Callable[[Any], bool]) -> bool:
    try:
        return is_whole(parse(message, data))
    except (DecodeError, RuntimeError):
        return False


def _onnx(path: str, data: bytes) -> _Found:
    # field 1 is a small number, unlike in TensorFlow's messages; ModelProto's other fields follow
    if data[:1] != b"\x08" or not 1 <= int.from_bytes(data[1:2], "little") < 64:
        return None
    return ("an ONNX model", _CONVERTED) if re.match(rb"[\x12\x1a\x22*2:B]", data[2:3]) else None


_LOOKS: Sequence[Callable[[str, bytes], _Found]] = (
    _empty,
    _magic,
    _page,
    _xml,
    _zip,
    _hdf5,
    _lite,
    _tar,
    _safetensors,
    _pickle,
    _json,
    _checkpoint,
    _events,
    _text,
    _saved_model,
    _onnx,
    _meta_graph,
)


def told_directory(path: str) -> NotAFileError:
    """Return the error for a directory at a file's path; it says what is in the directory."""
    names = names_in(path)
    return NotAFileError("{} is {}: {}".format(path, *_directory(path, names)))


def _directory(path: str, names: List[str]) -> Tuple[str, str]:
    there = set(names)
    if not names:
        return "an empty directory", "nothing was written there"
    if {"saved_model.pb", "saved_model.pbtxt"} & there:
        return "a SavedModel's directory", "give it to fh.freeze_saved_model"
    if "model.weights.h5" in there:
        return "an unpacked Keras model", "pack it as a .keras file, and " + _KERAS
    if "MLmodel" in there:
        return "a model of MLflow", "give the SavedModel or Keras file within it"
    if {"_CHECKPOINT_METADATA", "_METADATA", "manifest.ocdbt"} & there:
        return "a checkpoint of Orbax", "restore it into its model, and freeze that"
    if "checkpoint" in there or _ending(names, ".index"):
        return "a directory of checkpoints", "give it to fh.freeze_checkpoint"
    inner = [name for name in names if _is_saved_model(os.path.join(path, name))]
    if inner:
        return "a directory of SavedModels", f"give one, {os.path.join(path, inner[-1])!r}"
    files = _ending(names, ".pb") or names
    shown = ", ".join(files[:5]) + (", ..." if len(files) > 5 else "")
    return "a directory, but must be a file", f"it has {shown}"


def _ending(names: Iterable[str], end: str) -> List[str]:
    return [name for name in names if name.endswith(end)]


def _is_saved_model(path: str) -> bool:
    return bool(exists(os.path.join(path, "saved_model.pb")))

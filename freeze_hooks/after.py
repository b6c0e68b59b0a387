"""What may follow a frozen file: the same model in another format, or a copy of it elsewhere."""

from __future__ import annotations

import contextlib
import importlib
import os
import posixpath
import re
import threading
from typing import Any, Callable, Iterator, Optional, Set

import tensorflow as tf

from . import publish, remote
from ._tf import v1
from .errors import ConversionError, FreezeError
from .freezer import Artifact
from .graph.names import split
from .load import read_graph_def

After = Callable[[Artifact], str]

_ONE_AT_A_TIME = threading.Lock()  # converters keep counters and settings in their modules
_SAID = 400  # characters of a converter's message that are passed on


def to_onnx(path: Optional[str] = None, *, opset: Optional[int] = None) -> After:
    """Convert frozen files to ONNX, with tf2onnx: `fh.to_onnx()(artifact)`.

    Needs the extra `onnx`. Inputs and outputs are called as in the artifact's signature. The
    conversion takes several times the file's size in memory.

    Args:
      path: the file to write, each time anew; None writes `X.onnx` beside each `X.pb`.
      opset: the version of ONNX's operators; None takes tf2onnx's choice.

    Returns:
      A function that converts one Artifact, and returns the path that it wrote. It raises
      ConversionError if tf2onnx cannot express the model, and OSError if the file cannot be
      written; what was at the path stays then.

    Raises:
      FreezeError: tf2onnx is not there, or cannot be imported beside this TensorFlow.
      OSError: the directory of `path` cannot be written in.
    """
    with _unchanged_environment("TF_CPP_MIN_LOG_LEVEL"):  # tf2onnx sets it for good
        convert = _imported("tf2onnx.convert", "to_onnx")
        operators = _imported("onnx.defs", "to_onnx")
    path = _destination(path)

    def onnx(artifact: Artifact) -> str:
        ends = artifact.signature.inputs + artifact.signature.outputs
        with _converting(artifact, "tf2onnx"):
            model, _ = convert.from_graph_def(
                _without_lowering(read_graph_def(artifact.path)),
                input_names=[info.tensor for info in artifact.signature.inputs],
                output_names=[info.tensor for info in artifact.signature.outputs],
                tensors_to_rename={info.tensor: info.name for info in ends},
                opset=opset,
            )
            unknown = sorted(_unknown(model.graph, operators))  # tf2onnx leaves them as they are
            if unknown:
                raise ConversionError(
                    f"tf2onnx cannot convert {artifact.path}: it does not support {unknown[0]}"
                    + (f", nor {', '.join(unknown[1:])}" if unknown[1:] else "")
                )
            content = model.SerializeToString()
        return _written(artifact, path, ".onnx", content)

    return onnx


def to_tflite(
    path: Optional[str] = None, *, configure: Optional[Callable[[Any], None]] = None
) -> After:
    """Convert frozen files to TensorFlow Lite: `fh.to_tflite()(artifact)`.

    Inputs and outputs are called as in the file. A loop over lists of tensors, such as an LSTM, can
    be converted only where the batch size is fixed: give FreezeCallback or freeze_keras_model an
    `input_signature` with one.

    Args:
      path: the file to write, each time anew; None writes `X.tflite` beside each `X.pb`.
      configure: is given the TFLiteConverter before it converts, to set `optimizations`,
        `target_spec` or others of its attributes.

    Returns:
      A function that converts one Artifact, and returns the path that it wrote. It raises
      ConversionError if the converter refuses the model, and OSError if the file cannot be
      written; what was at the path stays then.

    Raises:
      OSError: the directory of `path` cannot be written in.
    """
    path = _destination(path)

    def tflite(artifact: Artifact) -> str:
        with _converting(artifact, "TensorFlow Lite's converter"):
            converter = v1.lite.TFLiteConverter.from_frozen_graph(
                artifact.path,
                [_lite_name(info.tensor) for info in artifact.signature.inputs],
                [_lite_name(info.tensor) for info in artifact.signature.outputs],
            )
            if configure is not None:
                configure(converter)
            content = converter.convert()
        return _written(artifact, path, ".tflite", content)

    return tflite


def upload(prefix: str) -> After:
    """Copy frozen files and their descriptions elsewhere: `fh.upload("gs://models")(artifact)`.

    The copy appears whole, under the base name of the original: it has another name until it is
    complete. The description comes after it.

    Args:
      prefix: a directory, with any scheme that tf.io.gfile knows, or of this machine. It is made
        if it is missing.

    Returns:
      A function that copies one Artifact, and returns the path of the copied `.pb`. It raises
      OSError if it cannot; what was there stays then.

    Raises:
      OSError: the directory cannot be made, or not be written in.
    """
    prefix = os.fspath(prefix)
    publish.ensure_writable(prefix)

    def uploaded(artifact: Artifact) -> str:
        base = (remote.split if remote.is_remote(artifact.path) else os.path.split)(artifact.path)[
            1
        ]
        join = posixpath.join if remote.is_remote(prefix) else os.path.join
        target = str(join(prefix, base))
        if os.path.realpath(target) == os.path.realpath(artifact.path):
            return target
        _copy(artifact.path, target, beside=target + ".json")
        with contextlib.suppress(FileNotFoundError):  # some adapters leave it out
            _copy(artifact.path + ".json", target + ".json")
        return target

    return uploaded


def to_tensorboard(writer: Any) -> Callable[[Artifact], None]:
    """Plot seconds, megabytes and difference of each save: `fh.to_tensorboard(writer)(artifact)`.

    The tags are `freeze/seconds`, `freeze/megabytes` and, with `verify=`,
    `freeze/max_difference`, at the artifact's step.

    Args:
      writer: a tf.compat.v1.summary.FileWriter, or one of tf.summary.create_file_writer.

    Returns:
      A function that writes what one Artifact says.
    """

    def scalars(artifact: Artifact) -> None:
        values = {"seconds": artifact.seconds, "megabytes": artifact.bytes / 1e6}
        if artifact.max_difference is not None:
            values["max_difference"] = artifact.max_difference
        step = artifact.step or 0
        pairs = [v1.Summary.Value(tag=f"freeze/{k}", simple_value=v) for k, v in values.items()]
        summary = v1.Summary(value=pairs)
        if hasattr(writer, "add_summary"):
            writer.add_summary(summary, step)
        else:
            with writer.as_default():
                tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=step)
        writer.flush()

    return scalars


def _imported(module: str, wanted_by: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as error:  # an old one fails on a new NumPy in ways of its own
        package = module.split(".")[0]
        raise FreezeError(
            f"{wanted_by} needs {package}, which cannot be imported ({_shortened(error)}): "
            "pip install 'freeze-hooks[onnx]'"
        ) from error


@contextlib.contextmanager
def _unchanged_environment(name: str) -> Iterator[None]:
    before = os.environ.get(name)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before


@contextlib.contextmanager
def _converting(artifact: Artifact, converter: str) -> Iterator[None]:
    """One conversion at a time; what a converter raises, as our own error."""
    with _ONE_AT_A_TIME:
        try:
            yield
        except (FreezeError, OSError):  # the file is not there, or broken
            raise
        except Exception as error:
            raise ConversionError(
                f"{converter} cannot convert {artifact.path}: {_shortened(error)}"
            ) from error


def _shortened(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    missing = re.search(r"you will need custom implementations: ([\w, ]+)", text)
    if missing:  # TensorFlow 1.15 says so after a page about other things
        return f"it does not support {missing.group(1)}"
    return text if len(text) <= _SAID else text[: _SAID - 3] + "..."


def _without_lowering(graph_def: Any) -> Any:
    """The graph with its While and If nodes as they are: tf2onnx's pass would turn those that are
    marked so into Enter, Switch and Merge, which it does not know."""
    for nodes in [graph_def.node, *(f.node_def for f in graph_def.library.function)]:
        for node in nodes:
            node.attr.pop("_lower_using_switch_merge", None)
    return graph_def


def _unknown(graph: Any, operators: Any) -> Set[str]:
    """The ops of an ONNX graph that are none of ONNX's, and of no domain of somebody else's."""
    found = set()
    for node in graph.node:
        if not (node.domain or operators.has(node.op_type)):
            found.add(node.op_type)
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                found |= _unknown(inner, operators)
    return found


def _lite_name(tensor: str) -> str:
    node, port = split(tensor)
    return tensor if port else node


def _destination(path: Optional[str]) -> Optional[str]:
    if path is not None:
        path = os.fspath(path)
        publish.ensure_writable(publish.directory_of(path))
    return path


def _written(artifact: Artifact, path: Optional[str], ending: str, content: bytes) -> str:
    """Where the content was published: at `path`, or beside the artifact."""
    if path is None:
        stem = artifact.path[:-3] if artifact.path.endswith(".pb") else artifact.path
        path = stem + ending
    publish.publish(path, lambda file: file.write(content), len(content))
    return path


def _copy(source: str, target: str, beside: Optional[str] = None) -> None:
    if remote.is_remote(source) and not remote.is_remote(target):
        content = publish.read(source)
        publish.publish(target, lambda file: file.write(content), len(content), beside)
    else:
        publish.publish_link(source, target, beside)

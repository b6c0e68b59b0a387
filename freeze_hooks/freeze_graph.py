"""TensorFlow's freeze_graph, with the same arguments and flags; without a session where possible.

    python -m freeze_hooks.freeze_graph --input_meta_graph=model.ckpt-1000.meta \\
        --input_binary=true --input_checkpoint=model.ckpt-1000 \\
        --output_node_names=probs --output_graph=frozen.pb

It follows tensorflow/python/tools/freeze_graph.py of TensorFlow 2.21.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import Any, List, Optional, Sequence

import tensorflow as tf

from . import _tf
from ._protos import GraphDef, MetaGraphDef, SaverDef
from .errors import InvalidFileError
from .frozen.stream import graph_def_of
from .graph.functions import outputs_of
from .graph.names import split
from .graph.ops import VARIABLES
from .graph.restore_ops import restored_keys
from .plan.spec import FreezeSpec, kept_variables
from .sources.at_path import find_prefix
from .sources.checkpoint import CheckpointedGraph
from .sources.graph_file import StoredGraph, as_graph
from .sources.graph_message import parse, read_message
from .sources.restored_session import read_initialized
from .sources.saved_model import read_meta_graph
from .sources.saved_model_message import meta_graph
from .sources.source import Source
from .storage.filesystem import read


@dataclasses.dataclass(frozen=True)
class _Task:
    stored: StoredGraph
    prefix: str
    saver_def: Optional[Any]
    initializers: Sequence[str]
    spec: FreezeSpec
    saved_model: Optional[str] = None

    def read(self) -> Source:
        """Return the plan and its values, from the checkpoint's files or, if needed, a session."""
        if not any(node.op in VARIABLES for node in self.stored.graph_def.node):
            _tf.warn("the graph has no variables: it is frozen already, and only pruned")
        if self.saved_model:
            return read_meta_graph(self.saved_model, self.stored.meta, self.spec)
        saved = CheckpointedGraph(self.stored, self.prefix, self.saver_def)
        custom = saved.saver_def if self._restores_otherwise(saved) else None
        # TensorFlow's tool runs no initializers if there is an input_saver
        initializers = self.initializers if self.saver_def is None else ()
        if custom is not None or initializers:
            return read_initialized(self.stored, self.prefix, custom, initializers, self.spec)
        return saved.source(self.spec)

    def _restores_otherwise(self, saved: CheckpointedGraph) -> bool:
        """Return whether the checkpoint's keys cannot be read from the saver's restore ops."""
        if saved.saver_def is None or saved.changed():
            return saved.saver_def is not None
        given = self.saver_def is not None
        return given and not restored_keys(self.stored.graph_def, saved.saver_def.restore_op_name)


def freeze_graph(
    input_graph: Optional[str],
    input_saver: Optional[str],
    input_binary: bool,
    input_checkpoint: Optional[str],
    output_node_names: str,
    restore_op_name: Optional[str],
    filename_tensor_name: Optional[str],
    output_graph: Optional[str],
    clear_devices: bool,
    initializer_nodes: str,
    variable_names_whitelist: str = "",
    variable_names_denylist: str = "",
    input_meta_graph: Any = None,
    input_saved_model_dir: Optional[str] = None,
    saved_model_tags: str = "serve",
    checkpoint_version: int = 2,
    variable_names_blacklist: str = "",
) -> Any:
    """Use it in place of TensorFlow's `freeze_graph.freeze_graph`: the arguments are the same.

    Args:
      input_graph: the file of a GraphDef, text or binary.
      input_saver: the file of a SaverDef; its restore ops say what the checkpoint's keys are.
      input_binary: not needed; text and binary files are detected by their content.
      input_checkpoint: a checkpoint's prefix, one of its files, or a directory (its newest).
      output_node_names: names of nodes, separated by commas.
      restore_op_name, filename_tensor_name, checkpoint_version: not used.
      output_graph: the file to write; empty writes none.
      clear_devices: whether to remove the nodes' devices.
      initializer_nodes: ops to run after the values are restored, separated by commas; they need
        a session. As in TensorFlow, they do not run if there is an `input_saver`.
      variable_names_whitelist: the only variables to make constants, separated by commas.
      variable_names_denylist: variables that stay variables, separated by commas. TensorFlow 1.15
        calls it `variable_names_blacklist`.
      input_meta_graph: the file of a MetaGraphDef, instead of `input_graph`.
      input_saved_model_dir: the directory of a SavedModel, instead of graph and checkpoint.
      saved_model_tags: its tags, separated by commas.

    Returns:
      The frozen GraphDef.

    Raises:
      OSError: an input file does not exist, or the output cannot be written.
      ValueError: there is no checkpoint, or no output is named; otherwise a FreezeError, as
        `freeze_checkpoint` raises.
      RuntimeError: the SavedModel has no graph with these tags.
    """
    given = _Given(
        checkpoint=input_checkpoint,
        outputs=output_node_names,
        clear_devices=clear_devices,
        initializers=initializer_nodes,
        allowed=variable_names_whitelist,
        denied=variable_names_denylist or variable_names_blacklist,
        saved_model=input_saved_model_dir,
        tags=_names(saved_model_tags),
    )
    return _frozen(_task_of_files(given, input_graph, input_saver, input_meta_graph), output_graph)


def freeze_graph_with_def_protos(
    input_graph_def: Optional[Any],
    input_saver_def: Optional[Any],
    input_checkpoint: Optional[str],
    output_node_names: str,
    restore_op_name: Optional[str],
    filename_tensor_name: Optional[str],
    output_graph: Optional[str],
    clear_devices: bool,
    initializer_nodes: str,
    variable_names_whitelist: str = "",
    variable_names_denylist: str = "",
    input_meta_graph_def: Optional[Any] = None,
    input_saved_model_dir: Optional[str] = None,
    saved_model_tags: Optional[List[str]] = None,
    checkpoint_version: int = 2,
    variable_names_blacklist: str = "",
) -> Any:
    """Use it in place of TensorFlow's function: `freeze_graph` with messages instead of files.

    Args:
      input_graph_def, input_saver_def, input_meta_graph_def: a GraphDef, SaverDef, MetaGraphDef.
      saved_model_tags: a list of tags.
      others: as in `freeze_graph`.

    Returns:
      The frozen GraphDef.

    Raises:
      OSError, ValueError, RuntimeError: as in `freeze_graph`.
    """
    given = _Given(
        checkpoint=input_checkpoint,
        outputs=output_node_names,
        clear_devices=clear_devices,
        initializers=initializer_nodes,
        allowed=variable_names_whitelist,
        denied=variable_names_denylist or variable_names_blacklist,
        saved_model=input_saved_model_dir,
        tags=saved_model_tags or [],
    )
    return _frozen(
        _task(given, input_graph_def, input_saver_def, input_meta_graph_def), output_graph
    )


@dataclasses.dataclass(frozen=True)
class _Given:
    """The arguments that are the same for files and for messages; names are separated by commas."""

    checkpoint: Optional[str]
    outputs: str
    clear_devices: bool
    initializers: str
    allowed: str
    denied: str
    saved_model: Optional[str]
    tags: Sequence[str]

    def spec(self, stored: StoredGraph) -> FreezeSpec:
        """Return what to freeze of a graph."""
        kept = kept_variables(_names(self.allowed) or None, _names(self.denied) or None)
        wanted = outputs_of(stored.graph_def, _names(self.outputs))
        return FreezeSpec.make(wanted, kept=kept, devices=not self.clear_devices)


def _task_of_files(
    given: _Given, input_graph: Optional[str], input_saver: Optional[str], input_meta_graph: Any
) -> _Task:
    graph_def = meta = saver_def = None
    if input_graph and not given.saved_model:
        graph_def = read_message(_existing(input_graph, "graph"))
        graph_def = getattr(graph_def, "graph_def", graph_def)  # a MetaGraphDef's
    if input_meta_graph:
        meta = read_message(_existing(input_meta_graph, "meta graph"))
        if not isinstance(meta, MetaGraphDef):
            raise InvalidFileError(f"{input_meta_graph} holds a GraphDef, not a MetaGraphDef")
    if input_saver:
        with tf.io.gfile.GFile(_existing(input_saver, "saver"), "rb") as file:
            saver_def = parse(file.read(), SaverDef(), input_saver)
    return _task(given, graph_def, saver_def, meta)


def _task(
    given: _Given, graph_def: Optional[Any], saver_def: Optional[Any], meta: Optional[Any]
) -> _Task:
    checkpoint = given.checkpoint
    if not given.saved_model and not (checkpoint and _has_checkpoint(checkpoint)):
        raise ValueError(f"Input checkpoint '{checkpoint}' doesn't exist!")
    if not _names(given.outputs):
        raise ValueError("You need to supply the name of a node to --output_node_names.")
    if given.saved_model and meta is None and not saver_def:
        stored = as_graph(_tagged(given.saved_model, given.tags))
        return _Task(stored, "", saver_def, (), given.spec(stored), given.saved_model)
    source = meta if meta is not None else graph_def
    if source is None:
        raise ValueError("You need to supply a graph: --input_graph or --input_meta_graph.")
    stored = as_graph(source)
    nodes = tuple(split(name)[0] for name in _names(given.initializers))
    return _Task(stored, find_prefix(checkpoint), saver_def, nodes, given.spec(stored))


def _tagged(directory: str, tags: Sequence[str]) -> Any:
    try:
        return meta_graph(directory, tags)
    except InvalidFileError as error:
        raise OSError(str(error)) from error
    except ValueError as error:
        if tf.io.gfile.glob(directory + "/saved_model.pb*"):
            raise RuntimeError(str(error)) from error
        raise OSError(f"SavedModel file does not exist at: {directory}") from error


def _has_checkpoint(checkpoint: str) -> bool:
    try:
        return bool(find_prefix(checkpoint))
    except ValueError:
        return False


def _existing(path: str, kind: str) -> str:
    if not tf.io.gfile.exists(path):
        raise OSError(f"Input {kind} file '{path}' does not exist!")
    return path


def _names(text: Optional[str]) -> List[str]:
    return [name for name in (text or "").replace(" ", "").split(",") if name]


def _frozen(task: _Task, path: Optional[str]) -> Any:
    reading = task.read()
    if path:
        reading.freeze(path, beside=False)
        return GraphDef.FromString(read(path))
    return graph_def_of(reading.plan, reading.values())


def main(unused_args: Any, flags: Any) -> None:
    """Freeze as the command does; `flags` has an attribute for each flag of the command.

    Only a part of the file is in memory at a time.

    Raises:
      ValueError, OSError, RuntimeError: as in `freeze_graph`.
    """
    if flags.checkpoint_version not in (1, 2):
        raise ValueError(
            f"Invalid checkpoint version (must be '1' or '2'): {flags.checkpoint_version}"
        )
    denied = getattr(flags, "variable_names_denylist", "")
    given = _Given(
        checkpoint=flags.input_checkpoint,
        outputs=flags.output_node_names,
        clear_devices=flags.clear_devices,
        initializers=flags.initializer_nodes,
        allowed=flags.variable_names_whitelist,
        denied=denied or getattr(flags, "variable_names_blacklist", ""),
        saved_model=flags.input_saved_model_dir,
        tags=_names(flags.saved_model_tags),
    )
    task = _task_of_files(given, flags.input_graph, flags.input_saver, flags.input_meta_graph)
    reading = task.read()
    if flags.output_graph:
        reading.freeze(flags.output_graph, beside=False)


_TEXT_FLAGS = {
    "input_graph": ("", "file of the GraphDef, text or binary"),
    "input_saver": ("", "file of a SaverDef"),
    "input_checkpoint": ("", "a checkpoint's prefix, or a directory (its newest checkpoint)"),
    "output_graph": ("", "the file to write"),
    "output_node_names": ("", "names of the outputs' nodes, separated by commas"),
    "restore_op_name": ("save/restore_all", "not used"),
    "filename_tensor_name": ("save/Const:0", "not used"),
    "initializer_nodes": ("", "ops to run before freezing, separated by commas"),
    "variable_names_whitelist": ("", "only these variables become constants"),
    "variable_names_denylist": ("", "these variables stay variables"),
    "input_meta_graph": ("", "file of a MetaGraphDef, instead of --input_graph"),
    "input_saved_model_dir": ("", "directory of a SavedModel, instead of graph and checkpoint"),
    "saved_model_tags": ("serve", "its tags, separated by commas"),
}
_BOOL_FLAGS = {
    "input_binary": (False, "not needed: text and binary files are detected"),
    "clear_devices": (True, "whether to remove the nodes' devices"),
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command's flags."""
    made = argparse.ArgumentParser(
        prog="python -m freeze_hooks.freeze_graph",
        description="Freeze a graph with the values of a checkpoint or SavedModel to one file.",
    )
    for name, (default, text) in _TEXT_FLAGS.items():
        also = ["--variable_names_blacklist"] if name.endswith("denylist") else []
        made.add_argument(f"--{name}", *also, default=default, help=text)
    for flag, (on, text) in _BOOL_FLAGS.items():
        made.add_argument(f"--{flag}", nargs="?", const=True, default=on, type=_is_true, help=text)
    made.add_argument("--checkpoint_version", type=int, default=2, help="not used: it is detected")
    return made


def _is_true(text: str) -> bool:
    return text.lower() == "true"


def run_main() -> None:
    """Run the command."""
    flags, unknown = parser().parse_known_args()
    main([sys.argv[0], *unknown], flags)


if __name__ == "__main__":
    run_main()

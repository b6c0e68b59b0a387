"""Loads a frozen file and runs it."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Set, Tuple

import tensorflow as tf
from google.protobuf.message import DecodeError

from .._tf import load_saved_model, v1
from ..errors import BROKEN, LONGEST, FreezeError, InvalidFileError, UnknownNameError, near
from ..graph.exact import exact
from ..graph.lint import Finding
from ..graph.names import tensor_name
from ..graph.side_effects import side_effects
from ..signature import SERVING, Signature, TensorInfo
from ..storage.paths import plain_path
from .assets import take_packed, unpacked
from .composites import Answers, taken_apart, wholes
from .description import custom_metadata_in
from .frozen_saved_model import graph_to_load
from .reader import (
    _description,
    _signatures,
    read_structure,
)


class FrozenSignature:
    """One signature of a frozen file: `model.signatures["embed"](x=array)` runs it.

    It takes and gives the same as a FrozenModel.

    Attributes:
      inputs, outputs: {name: TensorInfo}.
    """

    def __init__(self, path: str, signature: Signature, session: Any, optional: Set[str]) -> None:
        self.inputs: Dict[str, TensorInfo] = {info.name: info for info in signature.inputs}
        self.outputs: Dict[str, TensorInfo] = {info.name: info for info in signature.outputs}
        self._path, self._session, self._optional = path, session, optional
        self._fetches, self._feeds = (
            {name: session.graph.get_tensor_by_name(info.tensor) for name, info in infos.items()}
            for infos in (self.outputs, self.inputs)
        )

    def __call__(self, *feeds: Any, **more: Any) -> Dict[str, Any]:
        """Run the model.

        Args:
          *feeds: {input name: value}; or the value alone, if the model has one input.
          **more: inputs by name.

        Raises:
          UnknownNameError: an input is missing, or the model has no such input.
          FreezeError: a value does not fit its input: it would be cut, rounded to another whole
            number, or made infinite.
        """
        try:
            given = {
                key: part
                for name, value in self._named(feeds, more).items()
                for key, part in self._parts(name, value).items()
            }
            missing = [
                name
                for name, tensor in self._feeds.items()
                if name not in given and tensor.name not in self._optional
            ]
            if missing:
                names = ", ".join(missing)
                raise UnknownNameError(f"{self._path} needs a value for {names}")
            feed_dict = {
                self._feeds[name]: exact(value, self._feeds[name].dtype, name)
                for name, value in given.items()
            }
            return Answers(self._session.run(self._fetches, feed_dict))
        except UnknownNameError:
            raise
        except _UNFIT as error:
            raise FreezeError(f"{self._path}: {error}") from error

    def _named(self, feeds: Tuple[Any, ...], more: Mapping[str, Any]) -> Dict[str, Any]:
        """Return the arguments of a call by name."""
        if not feeds:
            return dict(more)
        if len(feeds) == 1 and isinstance(feeds[0], Mapping):
            return {**feeds[0], **more}
        names = list(wholes(self._feeds))
        if len(names) == 1 and len(feeds) == 1 and not more:
            return {names[0]: feeds[0]}
        told = ", ".join(f"{name}=..." for name in names) or "it has none"
        if not all(name.isidentifier() for name in names):
            told = "{" + ", ".join(f"{name!r}: ..." for name in names) + "}"
        raise FreezeError(f"it takes {len(names)} inputs, by name: model({told})")

    def _parts(self, name: str, value: Any) -> Dict[str, Any]:
        """Return {input: value} for one argument; a ragged or sparse tensor gives several."""
        found = taken_apart(name, value, self._feeds)
        if found is not None:
            return found
        if name not in self._feeds:
            close = near(name, self._feeds) or sorted(self._feeds)
            raise UnknownNameError(
                "{} has no input {!r}: did you mean {}?".format(
                    self._path, name, ", ".join(map(repr, close)) or "none at all"
                )
            )
        return {name: value}


class FrozenModel(FrozenSignature):
    """A frozen file ready to run: `model(x=array)` gives {output name: array}.

    Pass inputs as keyword arguments, or as one dict if a name is not a Python identifier:
    `model({"scope/x": array})`. A model with one input also takes the array alone: `model(array)`.

    The file has a ragged or sparse input "x" in parts: "x/values" and so on. Pass these parts, or
    pass a RaggedTensor or SparseTensor (or its tf.compat.v1 value) for "x". The answers have each
    part of a ragged or sparse output "y", and `answers["y"]` is the whole, as a tf.compat.v1 value.

    Use it in a `with` block, or `close()` it, to free its session.

    Attributes:
      inputs, outputs: {name: TensorInfo}, of the main signature.
      signatures: {key: FrozenSignature}; each can be called. The main one is "serving_default".
      graph_def: the file's GraphDef; variables of a SavedModel are constants without values in it.
      metadata: the file's description; empty if another program wrote the file.
      custom_metadata: the metadata that the file was given, of JSON types.
    """

    def __init__(self, path: str, allow_side_effects: bool = False) -> None:
        self.graph_def, sizes = read_structure(path)
        whole = graph_to_load(path) if sizes else self.graph_def
        reaching = () if allow_side_effects else side_effects(whole)
        if reaching:
            raise InvalidFileError(
                "{} would reach out of its graph: {}; allow_side_effects=True loads it "
                "anyway".format(path, "; ".join(map(_said, reaching)))
            )
        self.metadata = _description(self.graph_def, path)
        self.custom_metadata = custom_metadata_in(self.metadata, path)
        self._packed = take_packed(self.graph_def)
        self._assets: Optional[Dict[str, bytes]] = None
        signatures = _signatures(self.graph_def, self.metadata, path)
        optional = {
            tensor_name(node.name)
            for node in self.graph_def.node
            if node.op == "PlaceholderWithDefault"
        }
        session = v1.Session(graph=tf.Graph())
        try:
            with session.graph.as_default():
                if sizes:
                    load_saved_model(session, ["serve"], path)
                else:
                    v1.import_graph_def(self.graph_def, name="")
            super().__init__(path, signatures[SERVING], session, optional)
            self.signatures: Dict[str, FrozenSignature] = {
                key: FrozenSignature(path, each, session, optional)
                for key, each in signatures.items()
            }
        except (*BROKEN, RuntimeError, DecodeError, tf.errors.OpError) as error:
            session.close()
            raise InvalidFileError(f"{path} cannot be imported: {str(error)[:LONGEST]}") from error

    @property
    def assets(self) -> Mapping[str, bytes]:
        """The assets that the file carries: `model.assets["labels.txt"]` is its content.

        They are checked when they are first asked for.

        Raises:
          InvalidFileError: one is missing, or has other bytes than were written.
        """
        if self._assets is None:
            self._assets = unpacked(self.metadata, self._packed, self._path)
            self._packed = b""
        return self._assets

    def close(self) -> None:
        """Free the session."""
        self._session.close()

    def __enter__(self) -> FrozenModel:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


_UNFIT = (
    TypeError,
    ValueError,
    AttributeError,  # raised by TensorFlow 1.15 for some eager tensors
    OverflowError,
    NotImplementedError,  # raised if NumPy converts a symbolic tensor
    tf.errors.InvalidArgumentError,
)


def load_frozen(path: str, allow_side_effects: bool = False) -> FrozenModel:
    """Load a frozen file to try it: `load_frozen("model.pb")(x=array)["probs"]`.

    A file that another program wrote works too: its placeholders are the inputs, and tensors that
    no node uses are the outputs.

    Args:
      path: the file.
      allow_side_effects: also load a graph with ops that read or write files, talk to other
        processes, run Python functions or drive devices. Such ops may run when you call the model.

    Raises:
      InvalidFileError: the file is truncated, is not a GraphDef, or has such ops; the error names
        them.
      OSError: the file cannot be read.
    """
    return FrozenModel(plain_path(path), allow_side_effects)


def _said(finding: Finding) -> str:
    more = ", ..." if len(finding.nodes) > 5 else ""
    return "{}: {}{}".format(finding.problem, ", ".join(finding.nodes[:5]), more)

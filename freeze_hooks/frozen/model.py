"""A frozen file ready to run: what it is fed, and what it answers."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Tuple

import tensorflow as tf

from .._tf import v1
from ..errors import FreezeError, InvalidFileError, UnknownNameError, near
from ..graph.exact import exact
from ..graph.lint import Finding
from ..graph.names import tensor_name
from ..graph.side_effects import side_effects
from ..signature import TensorInfo
from ..storage.paths import plain_path
from .composites import Answers, taken_apart, wholes
from .reader import (
    _description,
    _signature,
    read_graph_def,
)


class FrozenModel:
    """A frozen file ready to run: `model(x=array)` gives {output name: array}.

    Inputs are keyword arguments by name, or one dict where a name is no Python identifier:
    `model({"scope/x": array})`. A model with one input takes it as it is: `model(array)`.

    A ragged or sparse input "x" is several, "x/values" and so on: give these, or a RaggedTensor or
    SparseTensor (or their tf.compat.v1 values) for "x". Of a ragged or sparse output "y", the
    answers have each part, and `answers["y"]` is the whole, as a tf.compat.v1 value.

    Use it in a `with` block, or `close()` it, to free its session.

    Attributes:
      inputs, outputs: {name: TensorInfo}.
      graph_def: the file's GraphDef.
      metadata: how the file describes itself; empty for a foreign file.
    """

    def __init__(self, path: str, allow_side_effects: bool = False) -> None:
        self.graph_def = read_graph_def(path)
        reaching = () if allow_side_effects else side_effects(self.graph_def)
        if reaching:
            raise InvalidFileError(
                "{} would reach out of its graph: {}; allow_side_effects=True loads it all "
                "the same".format(path, "; ".join(map(_said, reaching)))
            )
        self.metadata = _description(self.graph_def, path)
        signature = _signature(self.graph_def, self.metadata, path)
        self.inputs: Dict[str, TensorInfo] = {info.name: info for info in signature.inputs}
        self.outputs: Dict[str, TensorInfo] = {info.name: info for info in signature.outputs}
        self._path = path
        self._optional = {
            tensor_name(node.name)
            for node in self.graph_def.node
            if node.op == "PlaceholderWithDefault"
        }
        graph = tf.Graph()
        try:
            with graph.as_default():
                v1.import_graph_def(self.graph_def, name="")
            self._fetches = {
                name: graph.get_tensor_by_name(info.tensor) for name, info in self.outputs.items()
            }
            self._feeds = {
                name: graph.get_tensor_by_name(info.tensor) for name, info in self.inputs.items()
            }
        except (ValueError, LookupError, TypeError, tf.errors.OpError) as error:
            raise InvalidFileError(f"{path} cannot be imported: {error}") from error
        self._session = v1.Session(graph=graph)

    def __call__(self, *feeds: Any, **more: Any) -> Dict[str, Any]:
        """Run the model.

        Args:
          *feeds: {input name: value}; or the value alone, of a model with one input.
          **more: inputs by name.

        Raises:
          UnknownNameError: an input is missing, or is none of the model's.
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
        """What is given, by name."""
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
        """{input: value} of what is given for a name: several of a ragged or sparse tensor."""
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
    AttributeError,  # what TensorFlow 1.15 raises of some eager tensors
    OverflowError,
    NotImplementedError,  # what NumPy gets of a symbolic tensor
    tf.errors.InvalidArgumentError,
)


def load_frozen(path: str, allow_side_effects: bool = False) -> FrozenModel:
    """Load a frozen file to try it: `load_frozen("model.pb")(x=array)["probs"]`.

    A file that freeze_hooks did not write works too: its placeholders are the inputs, and the
    tensors nobody uses are the outputs.

    Args:
      path: the file.
      allow_side_effects: also load a graph that has ops which read or write files, talk to other
        processes, run Python functions or drive devices: it could do so when it runs.

    Raises:
      InvalidFileError: the file is truncated or no GraphDef, or has such ops; they are named.
      OSError: it cannot be read.
    """
    return FrozenModel(plain_path(path), allow_side_effects)


def _said(finding: Finding) -> str:
    more = ", ..." if len(finding.nodes) > 5 else ""
    return "{}: {}{}".format(finding.problem, ", ".join(finding.nodes[:5]), more)

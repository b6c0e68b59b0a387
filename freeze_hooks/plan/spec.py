"""FreezeSpec: what to freeze, and how."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Callable, Container, Mapping, Optional, Sequence, Tuple, Union

from ..errors import FreezeError
from ..graph.names import tensor_name
from .file_options import PLAIN, FileOptions
from .formats import format_of

_NODE_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*\Z")  # as tf.Operation checks names

Names = Union[None, str, Sequence[Any], Mapping[str, Any]]
Wanted = Tuple[Tuple[Optional[str], str], ...]


@dataclasses.dataclass(frozen=True)
class FreezeSpec:
    """The outputs, inputs, fixed values and options of a frozen file.

    Attributes:
      outputs: pairs (friendly name or None, full tensor name such as "probs:0").
      inputs: such pairs for the tensors to feed; None: all placeholders are inputs.
      bind: pairs (full tensor name, value): each tensor is replaced by a constant.
      inference_fn: builds the graph to freeze, if that is not the training graph.
      variable_map: {variable's name in the inference graph: its name in the training graph}.
      values: "live", "checkpoint" or "auto".
      file: how each file is made.
      kept: whether a variable, by its node's name, stays a variable in the file; None: none does.
      targets: names of ops without outputs to keep, for files that keep variables.
      runs: names of nodes that run with the outputs though no output waits for them: updates.
      devices: whether nodes keep the devices that the graph places them on.
    """

    outputs: Wanted
    inputs: Optional[Wanted] = None
    bind: Tuple[Tuple[str, Any], ...] = ()
    inference_fn: Optional[Callable[[], Any]] = None
    variable_map: Any = None
    values: str = "auto"
    file: FileOptions = PLAIN
    kept: Optional[Callable[[str], bool]] = None
    targets: Tuple[str, ...] = ()
    runs: Tuple[str, ...] = ()
    devices: bool = False

    @classmethod
    def make(
        cls,
        outputs: Names,
        inputs: Names = None,
        bind: Any = None,
        file: FileOptions = PLAIN,
        **more: Any,
    ) -> FreezeSpec:
        """Return the spec for a user's arguments: names, tensors, lists, or dicts by friendly name.

        Raises:
          FreezeError: an argument has a wrong type or value, or names one tensor twice.
        """
        bound = tuple((_tensor("bind", t), value) for t, value in dict(bind or {}).items())
        cut = None if inputs is None else _wanted("inputs", inputs)
        spec = cls(_wanted("outputs", outputs), cut, bound, file=file.checked(), **more)
        if spec.values not in ("auto", "live", "checkpoint"):
            raise FreezeError(f'values= is "auto", "live" or "checkpoint", not {spec.values!r}')
        if spec.values == "live" and format_of(spec.file.format).links:
            raise FreezeError('variables="link" takes the checkpoint\'s values: leave values= out')
        both = {t for t, _ in spec.bind} & {t for _, t in spec.inputs or ()}
        if both:
            raise FreezeError(f"{sorted(both)} stand both in inputs= and in bind=")
        return spec


@dataclasses.dataclass(frozen=True)
class Request:
    """A user's outputs, inputs and bound values, as they were given; see FreezeSpec."""

    outputs: Names = None
    inputs: Names = None
    bind: Any = None
    variable_map: Any = None

    def spec(self, file: FileOptions) -> FreezeSpec:
        """Return the FreezeSpec of this request.

        Raises:
          FreezeError: as `FreezeSpec.make`.
        """
        return FreezeSpec.make(
            self.outputs, self.inputs, self.bind, file, variable_map=self.variable_map
        )


def _wanted(argument: str, names: Names) -> Wanted:
    if names is None:
        return ()
    if isinstance(names, Mapping):
        for key in names:
            if not _is_node_name(key):
                raise FreezeError(f"{argument}=: {key!r} cannot be a node's name")
        return tuple((key, _tensor(argument, value)) for key, value in names.items())
    if isinstance(names, str) or hasattr(names, "op") or hasattr(names, "outputs"):
        names = [names]
    tensors = [_tensor(argument, value) for value in names]
    twice = sorted({t for t in tensors if tensors.count(t) > 1})
    if twice:
        raise FreezeError("{}= names {} twice".format(argument, ", ".join(twice)))
    return tuple((None, tensor) for tensor in tensors)


def _tensor(argument: str, value: Any) -> str:
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if not isinstance(name, str) or not name or name.startswith("^"):
        raise FreezeError(
            f"{argument}= takes tensors of the graph, or names of tensors or operations, "
            f"not {value!r}"
        )
    try:
        return tensor_name(name)
    except ValueError:
        raise FreezeError(f"{argument}=: {name!r} is not a tensor's name") from None


def kept_variables(
    allowed: Optional[Container[str]], denied: Optional[Container[str]]
) -> Optional[Callable[[str], bool]]:
    """Return `FreezeSpec.kept` for TensorFlow's variable_names_whitelist and _blacklist.

    Variables that are not in `allowed`, or are in `denied`, are kept; None means no list.
    """
    if allowed is None and denied is None:
        return None

    def kept(name: str) -> bool:
        return (allowed is not None and name not in allowed) or (
            denied is not None and name in denied
        )

    return kept


def _is_node_name(name: Any) -> bool:
    return isinstance(name, str) and _NODE_NAME.match(name) is not None

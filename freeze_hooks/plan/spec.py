"""FreezeSpec: what to freeze, and how."""

from __future__ import annotations

import dataclasses
import re
from typing import (
    Any,
    Callable,
    Container,
    Dict,
    Iterator,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from ..errors import FreezeError
from ..graph.names import tensor_name
from ..signature import SERVING
from .file_options import PLAIN, FileOptions
from .formats import format_of

_NODE_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*\Z")  # as tf.Operation checks names

Names = Union[None, str, Sequence[Any], Mapping[str, Any]]
Wanted = Tuple[Tuple[Optional[str], str], ...]
Signatures = Optional[Mapping[str, Any]]  # {key: outputs, or (inputs, outputs)}


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
      signatures: (key, outputs, inputs) of each further signature; without inputs it has those of
        the main one.
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
    signatures: Tuple[Tuple[str, Wanted, Optional[Wanted]], ...] = ()

    @classmethod
    def make(
        cls,
        outputs: Names,
        inputs: Names = None,
        bind: Any = None,
        file: FileOptions = PLAIN,
        signatures: Signatures = None,
        **more: Any,
    ) -> FreezeSpec:
        """Return the spec for a user's arguments: names, tensors, lists, or dicts by friendly name.

        Raises:
          FreezeError: an argument has a wrong type or value, or names one tensor twice.
        """
        bound = tuple((_tensor("bind", t), value) for t, value in dict(bind or {}).items())
        outputs, inputs, others = told_apart(outputs, inputs, signatures)
        cut = None if inputs is None else _wanted("inputs", inputs)
        further = tuple(
            (key, _wanted(f"signatures[{key!r}]", ends[1]), ends[0] and _wanted("inputs", ends[0]))
            for key, ends in others.items()
        )
        spec = cls(
            _wanted("outputs", outputs),
            cut,
            bound,
            file=file.checked(),
            signatures=further,
            **more,
        )
        if spec.values not in ("auto", "live", "checkpoint"):
            raise FreezeError(f'values= is "auto", "live" or "checkpoint", not {spec.values!r}')
        if spec.values == "live" and format_of(spec.file.format).links:
            raise FreezeError('variables="link" takes the checkpoint\'s values: leave values= out')
        for _, one in spec.by_signature():
            both = {t for t, _ in spec.bind} & {t for _, t in one.inputs or ()}
            if both:
                raise FreezeError(f"{sorted(both)} stand both in inputs= and in bind=")
        return spec

    def by_signature(self) -> Iterator[Tuple[str, FreezeSpec]]:
        """Yield (key, spec of this signature alone), the main one first."""
        yield SERVING, dataclasses.replace(self, signatures=())
        for key, outputs, inputs in self.signatures:
            fed = self.inputs if inputs is None else inputs
            yield key, dataclasses.replace(self, outputs=outputs, inputs=fed, signatures=())

    def with_ends(self, other: FreezeSpec) -> FreezeSpec:
        """Return this spec with the outputs, inputs and signatures of another one."""
        return dataclasses.replace(
            self, outputs=other.outputs, inputs=other.inputs, signatures=other.signatures
        )


@dataclasses.dataclass(frozen=True)
class Request:
    """A user's outputs, inputs and bound values, as they were given; see FreezeSpec."""

    outputs: Names = None
    inputs: Names = None
    bind: Any = None
    variable_map: Any = None
    signatures: Any = None

    def spec(self, file: FileOptions) -> FreezeSpec:
        """Return the FreezeSpec of this request.

        Raises:
          FreezeError: as `FreezeSpec.make`.
        """
        return FreezeSpec.make(
            self.outputs,
            self.inputs,
            self.bind,
            file,
            self.signatures,
            variable_map=self.variable_map,
        )


def told_apart(
    outputs: Any, inputs: Any, signatures: Signatures
) -> Tuple[Any, Any, Dict[str, Tuple[Any, Any]]]:
    """Return (outputs, inputs) of the main signature, and {key: (inputs, outputs)} of the others.

    Raises:
      FreezeError: the main one is missing or given twice, or a key or value is not possible.
    """
    if signatures is None:
        return outputs, inputs, {}
    if not isinstance(signatures, Mapping):
        raise FreezeError(
            'signatures= is a dict such as {"embed": outputs} or {"embed": (inputs, outputs)}, not '
            f"{signatures!r}"
        )
    found = {key: ends_given(key, value) for key, value in signatures.items()}
    main = found.pop(SERVING, None)
    if main is not None:
        if outputs is not None:
            raise FreezeError(
                f"outputs= are those of {SERVING!r}, which stands in signatures= too: give one"
            )
        inputs, outputs = inputs if main[0] is None else main[0], main[1]
    return outputs, inputs, found


def further(signatures: Signatures) -> Mapping[str, Any]:
    """Return the signatures beside a function or model, which is the main one.

    Raises:
      FreezeError: a key or a value is not possible.
    """
    if signatures is not None and not isinstance(signatures, Mapping):
        raise FreezeError(
            f'signatures= is a dict such as {{"embed": function}}, not {signatures!r}'
        )
    for key in signatures or {}:
        if key == SERVING:
            raise FreezeError(
                f"signatures=: {SERVING!r} is the function or model that is frozen: leave it out"
            )
        ends_given(key, signatures and signatures[key])
    return signatures or {}


def ends_given(key: Any, value: Any) -> Tuple[Any, Any]:
    """Return (inputs or None, outputs) for one value of `signatures=`."""
    if not _is_node_name(key) or ":" in key:
        raise FreezeError(
            f"signatures=: {key!r} cannot be a signature's name: take letters, digits and '_'"
        )
    inputs, outputs = (None, value)
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        if len(value) != 2:
            raise FreezeError(
                f"signatures=: {key!r} has {len(value)} parts: give outputs, or (inputs, outputs)"
            )
        inputs, outputs = value
    if outputs is None or (isinstance(outputs, (list, tuple, Mapping)) and not len(outputs)):
        raise FreezeError(f"signatures=: {key!r} has no outputs")
    return inputs or None, outputs


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

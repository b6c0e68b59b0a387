"""What to freeze, as every adapter and function understands it."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, Callable, Container, Mapping, Optional, Sequence, Tuple, Union

from ..errors import FreezeError
from ..graph.names import tensor_name
from ..graph.passes.narrow_weights import WEIGHTS
from ..proof.asked import Verify as Verify
from ..proof.asked import Verifying as Verifying
from ..proof.asked import verify_of

_NODE_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*\Z")  # as tf.Operation names are checked

Names = Union[None, str, Sequence[Any], Mapping[str, Any]]
Wanted = Tuple[Tuple[Optional[str], str], ...]


NUMERICS = ("warn", "raise", "off")


@dataclasses.dataclass(frozen=True)
class FreezeSpec:
    """Which tensors a frozen file answers with, which it is fed, and what is fixed in it.

    Attributes:
      outputs: pairs (friendly name or None, full tensor name such as "probs:0").
      inputs: the same for the tensors to cut at; None keeps the placeholders there are.
      bind: pairs (full tensor name, value) of tensors to replace by constants.
      inference_fn: builds the graph to freeze, where that is not the training graph.
      variable_map: from its variables' names to the training graph's.
      ema: whose averages to take instead of variables.
      values: "live", "checkpoint" or "auto".
      lower_control_flow: whether If, Case and While become Switch, Merge and Enter.
      optimize: whether constants and batch norms are folded in each file.
      weights: "float16" or "bfloat16" to store floating variables so; None stores them as they are.
      check_numerics: "warn" of NaN and infinity, "raise" them, or "off".
      verify: how each file is proved, a `Verify`; None proves nothing.
      kept: says of a variable, by its node's name, whether it stays one in the file; None: none do.
      targets: names of ops without outputs that stay, where variables do.
      runs: names of nodes that run with the outputs, though none waits for them: updates.
      devices: whether nodes stay on the devices that the graph places them on.
    """

    outputs: Wanted
    inputs: Optional[Wanted] = None
    bind: Tuple[Tuple[str, Any], ...] = ()
    inference_fn: Optional[Callable[[], Any]] = None
    variable_map: Any = None
    ema: Any = None
    values: str = "auto"
    lower_control_flow: bool = False
    weights: Optional[str] = None
    optimize: bool = False
    check_numerics: str = "warn"
    verify: Any = None
    kept: Optional[Callable[[str], bool]] = None
    targets: Tuple[str, ...] = ()
    runs: Tuple[str, ...] = ()
    devices: bool = False

    @classmethod
    def make(
        cls, outputs: Names, inputs: Names = None, bind: Any = None, **more: Any
    ) -> FreezeSpec:
        """A spec of what users write: names, tensors, lists of them, or dicts by friendly name.

        Raises:
          FreezeError: an argument is of another kind, or names one tensor twice.
        """
        bound = tuple((_tensor("bind", t), value) for t, value in dict(bind or {}).items())
        cut = None if inputs is None else _wanted("inputs", inputs)
        spec = cls(_wanted("outputs", outputs), cut, bound, **more)
        if spec.values not in ("auto", "live", "checkpoint"):
            raise FreezeError(f'values= is "auto", "live" or "checkpoint", not {spec.values!r}')
        if spec.weights not in (None, *WEIGHTS):
            raise FreezeError(f"weights= is one of {WEIGHTS} or None, not {spec.weights!r}")
        if spec.check_numerics not in NUMERICS:
            raise FreezeError(f"check_numerics= is one of {NUMERICS}, not {spec.check_numerics!r}")
        if spec.verify is not None:
            spec = dataclasses.replace(spec, verify=verify_of(spec.verify, spec.weights))
        if spec.weights and spec.optimize:
            raise FreezeError("optimize= would fold the Casts that weights= needs: choose one")
        both = {t for t, _ in spec.bind} & {t for _, t in spec.inputs or ()}
        if both:
            raise FreezeError(f"{sorted(both)} stand both in inputs= and in bind=")
        return spec


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
    """`FreezeSpec.kept` of TensorFlow's variable_names_whitelist and variable_names_blacklist.

    Kept are variables that are not in `allowed`, or are in `denied`; None stands for no list.
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

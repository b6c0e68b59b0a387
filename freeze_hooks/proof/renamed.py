"""From which variable the file takes a variable's value, with `variable_map=` and `ema=`."""

from __future__ import annotations

from typing import Any, Callable, Dict, Iterable, List

from .._tf import variables_by_name
from .op_effects import VARIABLES

Renaming = Callable[[str], str]


def renaming_in(graph: Any, variable_map: Any, ema: Any) -> Renaming:
    """Return a function: variable's name -> name of the training graph's variable to read."""
    mapped = _mapped(variable_map)
    if hasattr(ema, "average"):
        averages = _averages(graph, ema)
        if not averages:  # the averages belong to another object that has the same name
            ops = [op.name for op in graph.get_operations() if op.type in VARIABLES]
            return renaming_among(ops, lambda name: name in ops, variable_map, ema)
        return lambda name: averages.get(mapped(name), mapped(name))
    return _preferred(mapped, ema, lambda name: _has_variable(graph, name))


def renaming_among(
    names: Iterable[str], there: Callable[[str], bool], variable_map: Any, ema: Any
) -> Renaming:
    """Return a function: variable's name -> name in a checkpoint to read.

    `names` are names that the checkpoint lists; `there` tells of any name whether it has it.
    """
    known = set(names)
    mapped = _mapped(variable_map)
    if not hasattr(ema, "average"):
        return _preferred(mapped, ema, there)

    def average(name: str) -> str:
        own = f"{name}/{ema.name}"
        within: List[str] = [key for key in known if key.endswith("/" + own)]
        # averages that were made in a variable scope have its prefix
        return own if there(own) or len(within) != 1 else within[0]

    return _preferred(mapped, average, there)


def _mapped(variable_map: Any) -> Renaming:
    if variable_map is None:
        return lambda name: name
    if callable(variable_map):
        return variable_map
    return lambda name: variable_map.get(name, name)


def _preferred(mapped: Renaming, average: Any, there: Callable[[str], bool]) -> Renaming:
    if average is None:
        return mapped
    return lambda n: average(mapped(n)) if there(average(mapped(n))) else mapped(n)


def _averages(graph: Any, ema: Any) -> Dict[str, str]:
    pairs = ((name, ema.average(v)) for name, v in variables_by_name(graph).items())
    return {name: shadow.op.name for name, shadow in pairs if shadow is not None}


def _has_variable(graph: Any, name: str) -> bool:
    try:
        return graph.get_operation_by_name(name).type in VARIABLES
    except (KeyError, ValueError):
        return False

"""Finds the training graph's variable for each slot, with `variable_map=` and `ema=`."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from .._protos import dtype_name
from .._tf import variables_by_name
from ..errors import FreezeError, UnknownNameError, near
from ..graph.ops import HANDLES, VARIABLES, is_mutable_table
from ..graph.tables import Column
from ..graph.variables import Variable
from .averages import average_names, check_ema

Renaming = Union[None, Mapping[str, str], Callable[[str], str]]


def find_sources(
    graph: Any, variables: Sequence[Variable], variable_map: Renaming, ema: Any
) -> List[Variable]:
    """Return, for each variable of a plan, the training graph's variable that gives its value.

    Args:
      graph: the training graph.
      variables: the plan's variables; they may belong to another graph.
      variable_map: a dict or function from a plan's variable name to the training graph's.
      ema: an ExponentialMovingAverage, or a function from a variable's name to the name of its
        average; a variable without an average gives its own value.

    Raises:
      UnknownNameError: the training graph lacks a variable; the error lists near matches.
      FreezeError: a variable has another dtype or shape there.
    """
    named = renamer(variable_map)
    averaged = _averages(graph, ema)
    names = [named(variable.node) for variable in variables]
    if ema is not None and names and all(averaged(name) == name for name in names):
        _no_average(graph, ema, names[0])
    return [_source(graph, variable, averaged(named(variable.node))) for variable in variables]


def _no_average(graph: Any, ema: Any, name: str) -> None:
    tried = ema(name) if callable(ema) else f"{name}/{ema.name}"
    known = [op.name for op in graph.get_operations() if op.type in VARIABLES]
    close = ", ".join(map(repr, near(tried, known))) or "nothing alike"
    raise UnknownNameError(
        f"ema=: no variable that the outputs need has an average, such as {tried!r}; the training "
        f"graph has {close}"
    )


def _in(graph: Any, name: str) -> bool:
    return _operation(graph, name) is not None


def _operation(graph: Any, name: str) -> Optional[Any]:
    try:
        operation = graph.get_operation_by_name(name)
    except (KeyError, ValueError):
        return None
    return operation if operation.type in VARIABLES else None


def renamer(variable_map: Renaming) -> Callable[[str], str]:
    """Return `variable_map=` as a function."""
    if variable_map is None:
        return lambda name: name
    if callable(variable_map):
        return variable_map
    names = dict(variable_map)
    return lambda name: names.get(name, name)


def _averages(graph: Any, ema: Any) -> Callable[[str], str]:
    if ema is None:
        return lambda name: name
    check_ema(ema)
    if hasattr(ema, "average"):  # a tf.train.ExponentialMovingAverage
        shadows: Dict[str, str] = {}
        for name, variable in variables_by_name(graph).items():
            shadow = ema.average(variable)
            if shadow is not None:
                shadows[name] = shadow.op.name
        if not shadows:  # another ExponentialMovingAverage of the same name may have made them
            names = [op.name for op in graph.get_operations() if op.type in VARIABLES]
            shadows = average_names(names, set(names), ema.name)
        if not shadows:
            raise FreezeError("ema= has no averages: call its apply() before training begins")
        return lambda name: shadows.get(name, name)
    return lambda name: ema(name) if _in(graph, ema(name)) else name


def _source(graph: Any, wanted: Variable, name: str) -> Variable:
    operation = _operation(graph, name)
    if isinstance(wanted, Column) and operation is None:
        return dataclasses.replace(wanted, node=_table(graph, wanted, name))
    if operation is None:
        known = [op.name for op in graph.get_operations() if op.type in VARIABLES]
        close = ", ".join(map(repr, near(name, known))) or "nothing alike"
        raise UnknownNameError(
            f"the inference graph needs variable {wanted.node!r}, but the training graph has no "
            f"variable {name!r}; it has {close}; variable_map= says which one to take"
        )
    dtype = operation.get_attr("dtype").as_datatype_enum
    shape = operation.get_attr("shape")
    dims = None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)
    known_shape = dims is not None and all(size >= 0 for size in dims)
    if dtype != wanted.dtype or (known_shape and wanted.shape not in (None, dims)):
        raise FreezeError(
            f"variable {wanted.node!r} is {dtype_name(wanted.dtype)} {wanted.shape} in the "
            f"inference graph, but {name!r}, whose value it takes, is {dtype_name(dtype)} "
            f"{dims} in the training graph"
        )
    return dataclasses.replace(wanted, node=name, resource=operation.type in HANDLES)


def _table(graph: Any, wanted: Column, name: str) -> str:
    known = [op.name for op in graph.get_operations() if is_mutable_table(op.type)]
    if name not in known:
        close = ", ".join(map(repr, near(name, known))) or "nothing alike"
        raise UnknownNameError(
            f"the inference graph needs lookup table {wanted.node!r}, but the training graph has "
            f"no mutable table {name!r}; it has {close}; variable_map= says which one to take"
        )
    return name

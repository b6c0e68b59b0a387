"""The names of variables' moving averages, found by their ExponentialMovingAverage's name."""

from __future__ import annotations

from typing import Any, Collection, Dict, Iterable, Set

from ..errors import FreezeError


def check_ema(ema: Any) -> None:
    """Make sure that `ema=`, of a graph, is one.

    Raises:
      FreezeError: it is none.
    """
    if not callable(ema) and not hasattr(ema, "average"):
        raise FreezeError(f"ema= takes an ExponentialMovingAverage or a function, not {ema!r}")


def average_names(variables: Iterable[str], known: Collection[str], last: str) -> Dict[str, str]:
    """Return {variable: its average} for the variables that have an average.

    An average's name is SCOPE/VARIABLE/LAST; SCOPE is the variable scope where apply() was called.

    Args:
      variables: names of variables.
      known: all names of variables and averages.
      last: the ExponentialMovingAverage's name.

    Raises:
      FreezeError: several scopes have averages.
    """
    stems = [name[: -len(last) - 1] for name in known if name.endswith("/" + last)]
    found: Dict[str, str] = {}
    scopes: Set[str] = set()
    for variable in variables:
        if variable in stems:
            found[variable] = f"{variable}/{last}"
            continue
        # the average of a variable called SCOPE/VARIABLE itself belongs to that variable
        scoped = [s for s in stems if s.endswith("/" + variable) and s not in known]
        if scoped:
            found[variable] = f"{scoped[0]}/{last}"
            scopes.update(stem[: -len(variable)] for stem in scoped)
    if len(scopes) > 1:
        raise FreezeError(
            f"ema=: there are averages in the variable scopes {', '.join(sorted(scopes))}: pass a "
            "function from a variable's name to the name of the average to take"
        )
    return found

"""What the moving averages of variables are called, by their ExponentialMovingAverage's name."""

from __future__ import annotations

from typing import Collection, Dict, Iterable, Set

from ..errors import FreezeError


def average_names(variables: Iterable[str], known: Collection[str], last: str) -> Dict[str, str]:
    """{variable: its average} of those variables that have one.

    An average is called after its variable, behind the variable scope that apply() was called in.

    Args:
      variables: names of variables.
      known: all names there are, of variables and averages.
      last: the ExponentialMovingAverage's name, which those of averages end with.

    Raises:
      FreezeError: there are averages of two scopes.
    """
    stems = [name[: -len(last) - 1] for name in known if name.endswith("/" + last)]
    found: Dict[str, str] = {}
    scopes: Set[str] = set()
    for variable in variables:
        if variable in stems:
            found[variable] = f"{variable}/{last}"
            continue
        # what is called as a variable there is averages that one
        scoped = [s for s in stems if s.endswith("/" + variable) and s not in known]
        if scoped:
            found[variable] = f"{scoped[0]}/{last}"
            scopes.update(stem[: -len(variable)] for stem in scoped)
    if len(scopes) > 1:
        raise FreezeError(
            f"ema=: there are averages in the variable scopes {', '.join(sorted(scopes))}: give a "
            "function from a variable's name to that of the one to take"
        )
    return found

"""Fills in paths with epochs, batches and metrics."""

from __future__ import annotations

import string
from typing import Any, Dict, Iterable, List, Mapping, Optional

from ..errors import UnknownNameError


def lacks_validation(names: Iterable[str], metrics: Mapping[str, float]) -> bool:
    """Return whether a name needs validation and none has run, as validation_freq allows."""
    ran = any(name.startswith("val_") for name in metrics)
    return not ran and any(name.startswith("val_") for name in names)


def fields_of(template: str) -> List[str]:
    """Return the names of a path's fields."""
    return [field for _, field, _, _ in string.Formatter().parse(template) if field]


def values_for(epoch: int, batch: Optional[int], metrics: Mapping[str, Any]) -> Dict[str, Any]:
    """Return the values for a path's fields: epoch and batch, counted from 1, and metrics."""
    values: Dict[str, Any] = {"epoch": epoch + 1, **metrics}
    if batch is not None:
        values.setdefault("batch", batch + 1)
    return values


def filled_in(template: str, epoch: int, batch: Optional[int], metrics: Mapping[str, float]) -> str:
    """Return a path with its epoch and batch, counted from 1, and metrics filled in.

    Raises:
      UnknownNameError: the path names another field.
    """
    values = values_for(epoch, batch, metrics)
    try:
        return template.format(**values)
    except (KeyError, ValueError, IndexError) as error:
        raise UnknownNameError(
            f"filepath={template!r} cannot be filled in ({error!r}); there are: "
            + ", ".join(sorted(values))
        ) from error

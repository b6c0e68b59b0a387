"""Paths with epochs, batches and metrics in them."""

from __future__ import annotations

import string
from typing import Any, Dict, Iterable, List, Mapping, Optional

from ..errors import UnknownNameError


def lacks_validation(names: Iterable[str], metrics: Mapping[str, float]) -> bool:
    """Whether some of these are of a validation that has not run, as validation_freq may say."""
    ran = any(name.startswith("val_") for name in metrics)
    return not ran and any(name.startswith("val_") for name in names)


def fields_of(template: str) -> List[str]:
    """What a path is filled in with."""
    return [field for _, field, _, _ in string.Formatter().parse(template) if field]


def values_for(epoch: int, batch: Optional[int], metrics: Mapping[str, Any]) -> Dict[str, Any]:
    """What the fields of a path stand for: epoch and batch, counted from 1, and metrics."""
    values: Dict[str, Any] = {"epoch": epoch + 1, **metrics}
    if batch is not None:
        values.setdefault("batch", batch + 1)
    return values


def filled_in(template: str, epoch: int, batch: Optional[int], metrics: Mapping[str, float]) -> str:
    """A path with its epoch and batch, counted from 1, and metrics.

    Raises:
      UnknownNameError: it names something else.
    """
    values = values_for(epoch, batch, metrics)
    try:
        return template.format(**values)
    except (KeyError, ValueError, IndexError) as error:
        raise UnknownNameError(
            f"filepath={template!r} cannot be filled in ({error!r}); there are: "
            + ", ".join(sorted(values))
        ) from error

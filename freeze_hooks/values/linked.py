"""Finds variables in a checkpoint whose files a SavedModel takes as its own."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Mapping, Optional, Sequence, Tuple

from ..errors import FreezeError
from ..graph.restore_ops import SavedKey, slice_text
from ..graph.variables import Variable
from .bundle import Bundle


def find_places(
    prefix: str, wanted: Mapping[str, Tuple[Variable, Optional[SavedKey]]]
) -> Dict[str, Tuple[str, str]]:
    """Return {key: (a tensor's key in the checkpoint, the slice of it)}.

    Args:
      prefix: the checkpoint's prefix.
      wanted: {key: (the variable, where a Saver puts it)}.

    Raises:
      FreezeError: the checkpoint lacks a variable, or has it in another dtype, or is of format V1.
    """
    bundle = Bundle(prefix)
    if bundle.shapes is None:
        raise FreezeError(
            f'variables="link" takes a checkpoint\'s files, and {prefix} has none of format V2: '
            "save it with Saver(write_version=tf.compat.v1.train.SaverDef.V2), or give "
            "variables=True"
        )
    found = {}
    for key, (variable, place) in wanted.items():
        if place is None or bundle.dtypes.get(place.key) != variable.dtype:
            raise FreezeError(
                f'variables="link" takes the checkpoint\'s files, and {prefix} lacks the variable '
                f"{variable.node!r}: let the Saver save it, or give variables=True"
            )
        found[key] = place.key, slice_text(place, bundle.shapes[place.key])
    return found


def file_endings(prefix: str) -> Sequence[str]:
    """Return what follows the prefix in the names of a checkpoint's files; the index is first."""
    return [".index", *Bundle(prefix).data_endings()]


class LinkedValues:
    """Reads values that are in linked files, so that a broken file is found."""

    def add(self, key: str, dtype: int, shape: Sequence[int], chunks: Iterable[Any]) -> None:
        """Read one tensor; its reader checks the checksum in the index."""
        for _ in chunks:
            pass

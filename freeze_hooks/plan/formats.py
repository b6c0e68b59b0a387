"""The formats of an artifact: one `.pb` file, or a SavedModel's directory."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Dict, Mapping, Optional, Type, Union

from ..errors import FreezeError, near

LINK = "link"


@dataclasses.dataclass(frozen=True)
class Pb:
    """One file: a GraphDef with its weights as constants."""

    name: ClassVar[str] = "pb"
    suffix: ClassVar[str] = ".pb"
    is_directory: ClassVar[bool] = False
    links: ClassVar[bool] = False


@dataclasses.dataclass(frozen=True)
class SavedModel:
    """Give it as `format=` to write SavedModels, as `format="saved_model"` does too.

    Args:
      variables: True keeps the weights as variables, in TensorFlow's checkpoint format; False makes
        them constants; None (the default) does so up to the 2 GiB that a graph can hold. "link"
        takes the checkpoint's own files as hard links, and writes no weights.
      warmup: {input name: array} of a request that TensorFlow Serving sends to each version
        before it serves it, so that no user waits for the first run. It is in each SavedModel.

        hooks=[fh.FreezeHook(outputs=["probs"], format=fh.SavedModel())]

    A SavedModel is a directory that TensorFlow Serving, `tf.saved_model.load`, Java, Go and C read.
    This one has the signature "serving_default" and the tag "serve". Its graph is that of the
    `.pb`: the weights are constants, or variables that the loader restores.

    Raises:
      FreezeError: `variables` is not one of these.
    """

    variables: Union[bool, str, None] = None
    warmup: Optional[Mapping[str, Any]] = dataclasses.field(default=None, compare=False)

    name: ClassVar[str] = "saved_model"
    suffix: ClassVar[str] = ".saved_model"
    is_directory: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.variables not in (None, True, False, LINK):
            raise FreezeError(f'variables= is True, False, None or "link", not {self.variables!r}')

    @property
    def links(self) -> bool:
        """Whether the files of variables are links to a checkpoint's files."""
        return self.variables == LINK


Format = Union[Pb, SavedModel]
AskedFormat = Union[str, Format]  # as users give it
PB = Pb()
_FORMATS: Dict[str, Type[Any]] = {"pb": Pb, "saved_model": SavedModel}


def format_of(given: Any) -> Format:
    """Return the format for a user's `format=`: its name, or a Format.

    Raises:
      FreezeError: there is no such format; names near matches.
    """
    if isinstance(given, (Pb, SavedModel)):
        return given
    if isinstance(given, str) and given in _FORMATS:
        made: Format = _FORMATS[given]()
        return made
    close = near(given, _FORMATS) if isinstance(given, str) else []
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise FreezeError(f'format= is "pb", "saved_model" or fh.SavedModel(...), not {given!r}{hint}')

"""The formats of an artifact: one `.pb` file, a SavedModel's directory, or a TF.js model's."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Dict, Mapping, Optional, Tuple, Type, Union

from ..errors import FreezeError, near
from ..graph.passes.narrow_weights import WEIGHTS

LINK = "link"


@dataclasses.dataclass(frozen=True)
class Pb:
    """One file: a GraphDef with its weights as constants.

    All formats have these class attributes:
      name: what `format=` calls it.
      suffix: the ending of an artifact beside a checkpoint.
      is_directory: whether an artifact is a directory.
      main: the name of the main file in it; None if an artifact is a file.
      links: whether files of values are links to a checkpoint's files.
      lowers: whether its graph always has the control flow of TensorFlow 1.
      widens: whether its readers widen the values of `weights=`; else the graph has a Cast.
      narrows: the dtypes that `weights=` may have.
    """

    name: ClassVar[str] = "pb"
    suffix: ClassVar[str] = ".pb"
    main: ClassVar[Optional[str]] = None
    is_directory: ClassVar[bool] = False
    links: ClassVar[bool] = False
    lowers: ClassVar[bool] = False
    widens: ClassVar[bool] = False
    narrows: ClassVar[Tuple[str, ...]] = WEIGHTS


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
    main: ClassVar[Optional[str]] = "saved_model.pb"
    is_directory: ClassVar[bool] = True
    lowers: ClassVar[bool] = False
    widens: ClassVar[bool] = False
    narrows: ClassVar[Tuple[str, ...]] = WEIGHTS

    def __post_init__(self) -> None:
        if self.variables not in (None, True, False, LINK):
            raise FreezeError(f'variables= is True, False, None or "link", not {self.variables!r}')

    @property
    def links(self) -> bool:
        """Whether the files of variables are links to a checkpoint's files."""
        return self.variables == LINK


@dataclasses.dataclass(frozen=True)
class TFJS:
    """Give it as `format=` to write TensorFlow.js models, as `format="tfjs"` does too.

    Args:
      shard_bytes: the size of each file of weights but the last. Browsers load these files side by
        side, and cache them one by one.

        callbacks=[fh.FreezeCallback("page/model", format=fh.TFJS())]

    A TF.js model is a directory with `model.json` and the weights, which a page loads by
    `tf.loadGraphModel("model/model.json")`. Its graph is that of the `.pb`, with TensorFlow 1's
    control flow. Ops and dtypes that TF.js lacks are an error before training.
    `weights="float16"` halves what a browser loads.

    Raises:
      FreezeError: `shard_bytes` is not a positive whole number.
    """

    shard_bytes: int = 4 << 20

    name: ClassVar[str] = "tfjs"
    suffix: ClassVar[str] = ".tfjs"
    main: ClassVar[Optional[str]] = "model.json"
    is_directory: ClassVar[bool] = True
    links: ClassVar[bool] = False
    lowers: ClassVar[bool] = True
    widens: ClassVar[bool] = True
    narrows: ClassVar[Tuple[str, ...]] = ("float16",)

    def __post_init__(self) -> None:
        size = self.shard_bytes
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise FreezeError(f"shard_bytes= is a number of bytes of at least 1, not {size!r}")


Format = Union[Pb, SavedModel, TFJS]
AskedFormat = Union[str, Format]  # as users give it
PB = Pb()
_FORMATS: Dict[str, Type[Any]] = {"pb": Pb, "saved_model": SavedModel, "tfjs": TFJS}


def format_of(given: Any) -> Format:
    """Return the format for a user's `format=`: its name, or a Format.

    Raises:
      FreezeError: there is no such format; names near matches.
    """
    if isinstance(given, (Pb, SavedModel, TFJS)):
        return given
    if isinstance(given, str) and given in _FORMATS:
        made: Format = _FORMATS[given]()
        return made
    close = near(given, _FORMATS) if isinstance(given, str) else []
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise FreezeError(
        'format= is "pb", "saved_model" or fh.SavedModel(...), "tfjs" or fh.TFJS(...), '
        f"not {given!r}{hint}"
    )

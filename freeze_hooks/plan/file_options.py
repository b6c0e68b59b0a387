"""The options of a frozen file that every function and adapter takes."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional

from ..errors import FreezeError
from ..graph.passes.narrow_weights import WEIGHTS
from ..proof.asked import Verifying, verify_of
from .formats import PB, AskedFormat, SavedModel, format_of

NUMERICS = ("warn", "raise", "off")


@dataclasses.dataclass(frozen=True)
class FileOptions:
    """Options of a file, whatever its source is.

    Attributes:
      ema: whose moving averages replace the variables' values; for a Keras model, "optimizer".
      lower_control_flow: whether If, Case and While become Switch, Merge and Enter.
      weights: dtype to store floating variables in, "float16" or "bfloat16"; None: as they are.
      check_numerics: what to do about NaN and infinity: "warn", "raise" or "off".
      optimize: whether constants and batch norms are folded in each file.
      verify: how to prove each file, as the user says it; a `Verify` after `checked`. None: files
        are not proved.
      format: "pb", "saved_model" or an object of `formats`; such an object after `checked`.
    """

    ema: Any = None
    lower_control_flow: bool = False
    weights: Optional[str] = None
    check_numerics: str = "warn"
    optimize: bool = False
    verify: Verifying = None
    format: AskedFormat = PB

    def checked(self) -> FileOptions:
        """Return the same options with `verify` as a Verify and `format` as a Format.

        Raises:
          FreezeError: a value is not one of the possible ones, or two exclude each other.
        """
        if self.weights not in (None, *WEIGHTS):
            raise FreezeError(f"weights= is one of {WEIGHTS} or None, not {self.weights!r}")
        if self.check_numerics not in NUMERICS:
            raise FreezeError(f"check_numerics= is one of {NUMERICS}, not {self.check_numerics!r}")
        verify = verify_of(self.verify, self.weights)
        if self.weights and self.optimize:
            raise FreezeError("optimize= would fold the Casts that weights= needs: choose one")
        form = format_of(self.format)
        if self.weights and self.weights not in form.narrows:
            raise FreezeError(
                f"weights={self.weights!r} is no dtype of format={form.name!r}, which can have "
                f"{' or '.join(map(repr, form.narrows))}"
            )
        if isinstance(form, SavedModel) and form.variables:
            self._check_variables(form)
        return dataclasses.replace(self, verify=verify, format=form)

    def _check_variables(self, form: SavedModel) -> None:
        if self.optimize:
            raise FreezeError(
                f"optimize= folds constants, and variables={form.variables!r} keeps variables: "
                "choose one"
            )
        if self.weights and form.links:
            raise FreezeError(
                f"weights={self.weights!r} writes other values than the checkpoint, whose files "
                'variables="link" takes: give variables=True'
            )


PLAIN = FileOptions()  # the defaults

"""Asks a live model for the answers that its files must repeat."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import tensorflow as tf

from ..errors import FreezeError
from ..signature import Signature, TensorInfo
from .asked import Verify
from .composite_feeds import Composite, fitting
from .expected import Case, Expected
from .feeds import batches, unfit
from .file_runs import FileRuns

Answer = Callable[[Mapping[str, Any]], Mapping[str, Any]]
# raised by a model that does not accept its feeds
_REFUSED = (tf.errors.InvalidArgumentError, ValueError, TypeError)


class Asking:
    """Asks a live model for the answers that files of one plan must repeat.

    The first file of a layout is compared on all batches, later ones on the first batch: the other
    batches have other sizes, and sizes depend on the layout alone.

    Args:
      verify: the user's `verify=`, with a tolerance.
      signature: the files' signature.
    """

    def __init__(self, verify: Verify, signature: Signature) -> None:
        self.verify, self.signature = verify, signature
        self.runs = FileRuns()
        self._batches: Optional[List[Dict[str, Any]]] = None

    @property
    def bytes_only(self) -> bool:
        """Whether the next file is only read back, and not run."""
        return self.verify.first_only and self.runs.proven

    def expected(
        self,
        taken: Sequence[TensorInfo],
        answer: Answer,
        hints: Callable[[], Mapping[str, Any]] = dict,
        composites: Sequence[Composite] = (),
    ) -> Expected:
        """Return the model's answers to one or two batches.

        Args:
          taken: the file's inputs, with the dtypes and shapes that the model has for them.
          answer: runs the model, by the file's names: {input: array} -> {output: array}.
          hints: returns {input name: hint} for random feeds, as in `random_feeds`.
          composites: the ragged and sparse arguments; the parts of each must fit each other.

        Raises:
          FreezeError: the model does not accept the feeds.
        """
        verify, proven = self.verify, self.runs.proven
        made = self._batches
        if made is None:
            made = list(batches(verify, taken, {} if verify.feeds else hints()))
            if verify.feeds is None:
                made = [fitting(feeds, composites, verify.seed) for feeds in made]
            self._batches = made
        first, *others = made
        try:
            cases = [Case(first, answer(first))]
        except FreezeError:
            raise
        except _REFUSED as error:
            raise unfit(verify, error) from error
        for feeds in () if proven else others:
            with contextlib.suppress(*_REFUSED):  # the model accepts only the first batch's size
                cases.append(Case(feeds, answer(feeds)))
        return self.of(cases, not proven, {info.name: info.dtype for info in taken})

    def of(
        self,
        cases: Sequence[Case] = (),
        complete: bool = False,
        dtypes: Optional[Mapping[str, str]] = None,
    ) -> Expected:
        """Return these answers as an Expected; without cases, a file is only read back.

        Args:
          cases: the batches and the model's answers.
          complete: whether they prove a new layout too.
          dtypes: {input name: the model's dtype}.
        """
        return Expected(self.verify, self.signature, cases, dtypes or {}, self.runs, complete)

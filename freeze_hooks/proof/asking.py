"""Asks a live model for the answers that its files must repeat."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence

import tensorflow as tf

from ..errors import FreezeError
from ..signature import SERVING, Signature, TensorInfo
from .asked import Verify
from .composite_feeds import Composite, fitting
from .expected import Answered, Case, Expected, own
from .feeds import batches, feeds_by_signature, unfit
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
      signature: a signature of the files.
      key: the signature's key.
      runs: runs the files; shared by all signatures of the files.
    """

    def __init__(
        self,
        verify: Verify,
        signature: Signature,
        key: str = SERVING,
        runs: Optional[FileRuns] = None,
    ) -> None:
        self.verify, self.signature = verify, signature
        self._key = key
        self.runs = runs or FileRuns()
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
        part = Answered(self._key, self.signature, list(map(own, cases)), dtypes or {})
        return Expected(self.verify, [part], self.runs, complete)

    def with_feeds(self, feeds: Optional[Mapping[str, Any]]) -> Asking:
        """Return the same with other feeds of the user."""
        verify = dataclasses.replace(self.verify, feeds=feeds)
        return Asking(verify, self.signature, self._key, self.runs)


def all_expected(each: Iterable[Callable[[], Expected]]) -> Expected:
    """Return the answers of all signatures of the files."""
    first, *others = [expected() for expected in each]
    return first.together(others)


def askings_of(verify: Verify, signatures: Mapping[str, Signature]) -> Dict[str, Asking]:
    """Return what asks the model by each signature of its files.

    Raises:
      UnknownNameError: the user's feeds name no input of any signature.
    """
    runs, feeds = FileRuns(), feeds_by_signature(verify.feeds, signatures)
    return {
        key: Asking(dataclasses.replace(verify, feeds=feeds[key]), signature, key, runs)
        for key, signature in signatures.items()
    }

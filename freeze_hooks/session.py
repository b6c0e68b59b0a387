"""FreezeHook: a frozen file beside every checkpoint of a training session."""

from __future__ import annotations

import os
import re
import weakref
from typing import Any, Callable, List, Optional, Tuple, Union

import tensorflow as tf

from . import _tf, publish
from ._tf import v1
from .errors import FreezeError
from .freezer import Artifact, Freezer
from .spec import FreezeSpec, Names

_STEP = re.compile(r"-(\d+)$")  # how Saver.save appends the global step


class FreezeHook(v1.train.SessionRunHook):
    """Pass it as a hook, and each checkpoint that training saves has a frozen `.pb` beside it.

        hooks=[fh.FreezeHook(outputs=["probs"], bind={"is_training:0": False})]

    It stands among `hooks` or `chief_only_hooks` of a MonitoredTrainingSession, in any order. The
    graph is compiled in `begin()`; whenever a tf.compat.v1.train.Saver then saves a session of
    that graph, the values of the same session are written as `PREFIX.pb`, described by
    `PREFIX.pb.json`. Files go when their checkpoints do.

    Args:
      outputs: tensors or names, in a list (the file keeps their nodes' names) or in a dict by
        the name they shall have in the file.
      inputs: the same, of the tensors to cut the graph at, such as "IteratorGetNext:0"; they
        become placeholders. None keeps the placeholders that the outputs need.
      bind: {tensor or name: value} of tensors to fix, such as {"is_training:0": False};
        conditionals that this decides are folded.
      output_dir: where the files go, instead of beside the checkpoints.
      name: tells several hooks' files in one directory apart: `PREFIX.name.pb`.
      is_chief: whether this process writes; a bool, or a function called in `begin()`.
      strict: raise what is only warned of otherwise: findings in the graph, and a save that
        fails once training has begun.

    Raises (from `begin()`, or where training starts, before its first step):
      FreezeError: a name is unknown (near matches are listed), there are no outputs (likely ones
        are listed), they cannot be frozen, the file would pass 2 GiB, or cannot be written.
    """

    def __init__(
        self,
        outputs: Names = None,
        *,
        inputs: Names = None,
        bind: Any = None,
        output_dir: Optional[str] = None,
        name: Optional[str] = None,
        is_chief: Union[bool, Callable[[], bool]] = True,
        strict: bool = False,
    ) -> None:
        self._spec = FreezeSpec.make(outputs, inputs, bind)
        self._output_dir = None if output_dir is None else os.fspath(output_dir)
        self._name = _checked_name(name)
        self._is_chief = is_chief
        self._strict = strict
        self._reset()

    def _reset(self) -> None:
        self._freezer: Optional[Freezer] = None
        self._stepped = False
        self._last_session: Any = None
        self._artifacts: List[Artifact] = []

    @property
    def artifacts(self) -> Tuple[Artifact, ...]:
        """The files of this training that are still kept, oldest first."""
        return tuple(self._artifacts)

    def begin(self) -> None:
        """Compile the graph, so that all that can be known to fail does so before training."""
        _tf.off_save(self)
        self._reset()
        if not (self._is_chief() if callable(self._is_chief) else self._is_chief):
            return
        if self._output_dir is not None:
            self._check_writable(self._output_dir)
        graph = v1.get_default_graph()
        self._freezer = Freezer(graph, self._spec)
        findings = [str(finding) for finding in self._freezer.plan.findings]
        if findings and self._strict:
            raise FreezeError("strict=True, and the frozen graph has\n  " + "\n  ".join(findings))
        for finding in findings:
            _tf.warn("FreezeHook: " + finding)
        _tf.on_save(graph, self)

    def before_run(self, run_context: Any) -> None:
        """Note that training has begun; asks for nothing."""
        self._stepped = True

    def end(self, session: Any) -> None:
        """Go on listening to this session alone: hooks after this one may still save it."""
        self._last_session = weakref.ref(session)

    def after_save(self, saver: Any, session: Any, prefix: str) -> None:
        """Freeze `session`, which `saver` just saved as `prefix`; called at each Saver.save."""
        if self._freezer is None:
            return
        if self._last_session is not None and self._last_session() is not session:
            return
        try:
            self._freeze(self._freezer, session, prefix)
        except (tf.errors.AbortedError, tf.errors.UnavailableError):
            raise  # the session recovers by seeing these
        except Exception as error:
            if isinstance(error, OSError):
                error = FreezeError(f"cannot write a frozen file beside {prefix}: {error}")
            if self._strict or not self._stepped:
                raise error
            _tf.warn(f"FreezeHook: no frozen file for {prefix}: {error}")

    def _freeze(self, freezer: Freezer, session: Any, prefix: str) -> None:
        directory = self._output_dir or os.path.dirname(prefix) or "."
        base = os.path.basename(prefix) + ".pb"
        if self._name:
            base = f"{os.path.basename(prefix)}.{self._name}.pb"
        path = os.path.join(directory, base)
        artifact = freezer.freeze(session, path, _step(session, prefix))
        gone = publish.retain(directory, self._name, base, prefix, _tf.checkpoint_exists)
        self._artifacts = [a for a in self._artifacts if a.path != path and a.path not in gone]
        self._artifacts.append(artifact)
        _tf.info(str(artifact))

    @staticmethod
    def _check_writable(directory: str) -> None:
        try:
            publish.ensure_writable(directory)
        except OSError as error:
            raise FreezeError(f"output_dir= cannot be written to: {error}") from error


def _checked_name(name: Optional[str]) -> str:
    if name is None:
        return ""
    if not re.match(r"[A-Za-z0-9_-]+\Z", name):
        raise FreezeError(f"name= takes letters, digits, - and _, not {name!r}")
    return name


def _step(session: Any, prefix: str) -> Optional[int]:
    found = _STEP.search(prefix)
    if found:
        return int(found.group(1))
    global_step = v1.train.get_global_step(session.graph)
    return None if global_step is None else int(session.run(global_step))

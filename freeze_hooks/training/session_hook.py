"""FreezeHook: writes a frozen file beside every checkpoint of a training session."""

from __future__ import annotations

import os
import weakref
from typing import Any, Callable, Optional, Set, Tuple, Union

from .. import _saver, _tf
from .._tf import v1
from ..errors import FreezeError
from ..frozen.artifact import Artifact
from ..plan.file_options import FileOptions
from ..plan.formats import AskedFormat
from ..plan.spec import FreezeSpec, Names
from ..proof.asked import Verifying
from ..sources.session import LiveGraph
from ..sources.source import NO_CHECKPOINT
from ..storage.filesystem import filesystem_of
from ..values.renaming import Renaming
from .neighbours import others
from .options import Listeners
from .session_delivery import Evaluate, SessionDelivery, SessionOptions


class FreezeHook(v1.train.SessionRunHook):
    """Pass it as a hook, and each checkpoint that training saves gets a frozen `.pb` beside it.

        hooks=[fh.FreezeHook(outputs=["probs"], bind={"is_training:0": False})]

    Put it into `hooks` or `chief_only_hooks` of a MonitoredTrainingSession, at any place. The graph
    is compiled in `begin()`. Whenever a tf.compat.v1.train.Saver then saves a session of that
    graph, the session's values are written as `PREFIX.pb`, described by `PREFIX.pb.json`. Files are
    deleted when their checkpoints are.

    Args:
      outputs: tensors or names, in a list (the file keeps their nodes' names) or in a dict by
        their names in the file.
      inputs: tensors or names, likewise, at which to cut the graph, such as "IteratorGetNext:0";
        they become placeholders. None keeps the placeholders that the outputs need.
      bind: {tensor or name: value} of tensors to fix, such as {"is_training:0": False};
        conditionals that this decides are folded.
      inference_fn: builds the inference graph, if that is not the training graph. It is called
        once in `begin()`, in a new tf.Graph, and uses the same variable names. It may return
        `(inputs, outputs)`, two dicts of tensors by name, in place of `outputs`.
      variable_map: a dict or function from the inference graph's variable names to the training
        graph's, if they differ.
      ema: a tf.train.ExponentialMovingAverage whose averages are frozen in place of the variables,
        or a function from a variable's name to the name of the variable to take instead.
      values: "live" takes the session's values, "checkpoint" those of the checkpoint just written.
        "auto" is "checkpoint" if steps may run while values are read (another process's session,
        SyncReplicasOptimizer, a Supervisor's timer), else "live".
      lower_control_flow: write If, Case and While as Switch, Merge and Enter, without functions,
        for programs that know only the control flow of TensorFlow 1.
      optimize: fold constants and batch norms, and simplify, by TensorFlow's own optimizers. At
        each save, this takes time, and the whole file in memory.
      weights: "float16" or "bfloat16" stores floating variables in half the bytes; a Cast restores
        their dtype. A value over 65504, the largest float16, is an error of that save.
      check_numerics: "warn" of variables that hold NaN or infinity, "raise" NotFiniteError and
        write no file with them, or "off".
      verify: prove each file before it appears: read it back, run it, and compare its answers with
        the live session's at that step. True makes random feeds, a dict {input name: array} gives
        feeds, fh.Verify has more options. "first" runs only the first file, and reads later ones
        back. A file that differs by more than the tolerance does not appear; each file that was run
        notes its difference. During the proof, the weights are in memory twice.
      format: "pb", or "saved_model" or fh.SavedModel(...): a directory `PREFIX.saved_model` beside
        each checkpoint. With `output_dir`, it is `output_dir/STEP`, as TensorFlow Serving watches
        it; the best one is `best/STEP`. In the same places, "tfjs" or fh.TFJS(...) writes a
        TensorFlow.js model: `PREFIX.tfjs`.
      output_dir: the directory for the files, instead of the checkpoints'.
      name: separates several hooks' files in one directory: `PREFIX.name.pb`.
      save_steps, save_secs: write every so many global steps or seconds into `output_dir`, as
        `model-STEP.pb`, with or without checkpoints.
      save_at_end: with save_steps or save_secs, write once more when training ends.
      keep: keep this number of newest files, instead of those with a checkpoint; without
        checkpoints, the default is 5.
      latest: also make `latest.pb`, a second name of the newest file.
      is_chief: whether this process writes; a bool, or a function called in `begin()`.
      save_best_only: write only `best.pb`, when the monitored metric beats the best value so far.
      evaluate: `evaluate(session, step) -> {metric: value}`, called at each save; the metrics
        are written into the file.
      monitor: the metric that decides, with save_best_only.
      mode: "min" or "max": which is better. NaN never is.
      threshold: the value that the first one must beat.
      resume: whether the best value of an earlier run in this directory counts: "auto" if this
        one goes on from a checkpoint (it begins, or first saves, at a step over 0).
      strict: raise what else is only a warning: findings in the graph, and a save that fails once
        training has begun.
      on_publish: functions that are called with the Artifact of each new file, in their own
        thread, one after the other: fh.to_onnx(), fh.to_tflite(), fh.upload(prefix),
        fh.to_tensorboard(writer), or your own. An error in one is a warning. If a path gets files
        faster than that, only its newest file is taken. If few files are kept, a file may already
        be deleted when its turn comes.
      save_on_background: read the values between two steps, which takes their size in memory once,
        and write them in a thread while training goes on. If files are due faster than the disk
        can write, one waits with its values, and a further one blocks training.

    Raises (from `begin()`, or when training starts, before its first step):
      FreezeError: a name is unknown (lists near matches), there are no outputs (lists likely
        ones), they cannot be frozen, or the file would pass 2 GiB or cannot be written.
    """

    def __init__(
        self,
        outputs: Names = None,
        *,
        inputs: Names = None,
        bind: Any = None,
        inference_fn: Optional[Callable[[], Any]] = None,
        variable_map: Renaming = None,
        ema: Any = None,
        values: str = "auto",
        lower_control_flow: bool = False,
        weights: Optional[str] = None,
        check_numerics: str = "warn",
        optimize: bool = False,
        verify: Verifying = None,
        format: AskedFormat = "pb",
        output_dir: Optional[str] = None,
        name: Optional[str] = None,
        save_steps: Optional[int] = None,
        save_secs: Optional[float] = None,
        save_at_end: bool = True,
        keep: Optional[int] = None,
        latest: bool = False,
        is_chief: Union[bool, Callable[[], bool]] = True,
        save_best_only: bool = False,
        evaluate: Optional[Evaluate] = None,
        monitor: Optional[str] = None,
        mode: str = "min",
        threshold: Optional[float] = None,
        resume: Union[bool, str] = "auto",
        strict: bool = False,
        on_publish: Listeners = (),
        save_on_background: bool = False,
    ) -> None:
        self._spec = FreezeSpec.make(
            outputs,
            inputs,
            bind,
            FileOptions(
                ema=ema,
                lower_control_flow=lower_control_flow,
                weights=weights,
                check_numerics=check_numerics,
                optimize=optimize,
                verify=verify,
                format=format,
            ),
            inference_fn=inference_fn,
            variable_map=variable_map,
            values=values,
        )
        self._options = SessionOptions.make(
            output_dir=output_dir,
            name=name or "",
            keep=keep,
            latest=latest,
            save_best_only=save_best_only,
            evaluate=evaluate,
            monitor=monitor,
            mode=mode,
            threshold=threshold,
            resume=resume,
            strict=strict,
            on_publish=on_publish,
            save_on_background=save_on_background,
            form=format,
        )
        self._every = _schedule(save_steps, save_secs, output_dir)
        if self._every is not None and self._options.form.links:
            raise FreezeError(NO_CHECKPOINT)
        self._save_at_end = save_at_end
        self._is_chief = is_chief
        self._reset()

    def _reset(self) -> None:
        self._delivery: Optional[SessionDelivery] = None
        self._training: Any = None  # the graph, until training ends
        self._told = False
        self._stepped = False
        self._last_session: Any = None
        self._global_step: Any = None
        self._last_step: Optional[int] = None

    @property
    def artifacts(self) -> Tuple[Artifact, ...]:
        """The files of this training that are still kept, oldest first."""
        return self._delivery.written() if self._delivery else ()

    def begin(self) -> None:
        """Compile the graph, so that as much as possible fails before training."""
        graph = v1.get_default_graph()
        if self._training not in (None, graph) and _tf.is_evaluation(graph):
            if not self._told:
                _tf.warn(
                    "FreezeHook: it stands among the hooks of an evaluation too, where it does "
                    "nothing, since that saves no checkpoints; the training goes on to be frozen"
                )
            self._told = True
            return
        _saver.off_save(self)
        self._reset()
        if not (self._is_chief() if callable(self._is_chief) else self._is_chief):
            return
        self._options.check()
        self._refuse_twins()
        self._training = graph
        live = LiveGraph(graph, self._spec)
        self._delivery = SessionDelivery(graph, live, self._options, "FreezeHook")
        if self._every is None:
            _saver.on_save(graph, self)
            return
        self._every.reset()
        self._global_step = _tf.global_step(graph)
        if self._global_step is None:
            raise FreezeError(
                "save_steps= and save_secs= need a global step: "
                "tf.compat.v1.train.get_or_create_global_step()"
            )

    def _refuse_twins(self) -> None:
        """Check that no other hook of the session writes the same files."""
        for other in others(self):
            if isinstance(other, FreezeHook) and other._files() & self._files():
                raise FreezeError(
                    "two FreezeHooks of one session write the same files, so each would overwrite "
                    "or delete the other's: give one of them name= or output_dir="
                )

    def _files(self) -> Set[Tuple[str, str]]:
        """Return what identifies the hook's artifacts: (directory, name) of each kind."""
        options = self._options
        where = options.place("model-STEP" if self._every else "PREFIX", 0)
        directory = where.directory
        if options.output_dir is not None:
            directory = filesystem_of(directory).absolute(directory)
        return {(directory, base) for base in [where.base, *[where.link] * options.latest]}

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Note whether training goes on from a checkpoint."""
        if self._is_other(session):
            return
        if self._delivery is not None and self._global_step is not None:
            self._delivery.begin_at(int(session.run(self._global_step)))

    def before_run(self, run_context: Any) -> Any:
        """Note that training has begun; fetch the global step if the hook has a schedule."""
        if self._training is not None and self._is_other(run_context.session):
            return None
        self._stepped = True
        if self._global_step is None:
            return None
        return v1.train.SessionRunArgs(self._global_step)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        """Save if the hook's own schedule says so."""
        if self._global_step is None or self._every is None:
            return
        if self._is_other(run_context.session):
            return
        # the fetched value may be from before the step
        if self._every.should_trigger_for_step(run_values.results + 1):
            step = int(run_context.session.run(self._global_step))
            if self._every.should_trigger_for_step(step):
                self._every.update_last_triggered_step(step)
                self._save_scheduled(run_context.session, step)

    def end(self, session: Any) -> None:
        """Save a last time, with a schedule, and wait for files and on_publish=.

        Without a schedule, go on listening to this session alone: later hooks may still save it.
        """
        if self._is_other(session):
            return
        self._last_session = weakref.ref(session)
        if self._global_step is not None and self._save_at_end:
            step = int(session.run(self._global_step))
            if step != self._last_step:
                self._save_scheduled(session, step)
        if self._delivery is not None:
            self._delivery.end()
            self._delivery.explain(self._missing(session))
        self._training = None

    def _is_other(self, session: Any) -> bool:
        """Return whether a session is that of an evaluation during training."""
        return self._training not in (None, session.graph)

    def _missing(self, session: Any) -> str:
        """Return why a training has ended without a save."""
        if self._every is not None:
            return "its schedule came to no step, and save_at_end=False"
        if _tf.is_evaluation(session.graph):
            return (
                "it was an evaluation, which saves no checkpoints: FreezeHook belongs to training"
            )
        return (
            "no checkpoint of its graph was saved: give MonitoredTrainingSession checkpoint_dir= "
            "and save_checkpoint_steps= or _secs=, or FreezeHook output_dir= and save_steps="
        )

    def after_save(self, saver: Any, session: Any, prefix: str, numbered: bool) -> None:
        """Freeze `session`, which `saver` just saved as `prefix`; called after each Saver.save."""
        if self._delivery is None:
            return
        if self._last_session is not None and self._last_session() is not session:
            return
        self._delivery.after_save(saver, session, prefix, numbered, raising=not self._stepped)

    def _save_scheduled(self, session: Any, step: int) -> None:
        assert self._delivery is not None and self._options.output_dir is not None
        self._last_step = step
        stem = os.path.join(self._options.output_dir, f"model-{step}")
        self._delivery.save(session, stem, step)


def _schedule(steps: Optional[int], secs: Optional[float], output_dir: Optional[str]) -> Any:
    if steps is None and secs is None:
        return None
    if steps is not None and secs is not None:
        raise FreezeError("save_steps= and save_secs= are two schedules: give one of them")
    if output_dir is None:
        raise FreezeError("save_steps= and save_secs= need output_dir=: where the files go")
    return v1.train.SecondOrStepTimer(every_steps=steps, every_secs=secs)

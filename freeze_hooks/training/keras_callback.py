"""FreezeCallback: writes frozen files during Keras's fit."""

from __future__ import annotations

import contextlib
import inspect
import threading
from typing import Any, Callable, Iterator, Mapping, Optional, Tuple, Union

from .. import _keras, _tf
from ..errors import FreezeError, UnknownNameError
from ..frozen.artifact import Artifact
from ..plan.carried import Assets, Metadata
from ..plan.file_options import FileOptions
from ..plan.formats import AskedFormat, format_of
from ..plan.spec import Signatures
from ..proof.asked import Verifying, makes_feeds
from ..sources.function_plan import FunctionPlan
from ..sources.keras.batches import Batches, may_look
from ..sources.keras.input_types import check_call, is_declared, is_known
from ..sources.keras.model import plan_seen
from ..sources.keras.training_state import check_averages, step_of, synchronize
from ..sources.source import NO_CHECKPOINT
from ..storage import atomic, filesystem
from ..storage.file_kinds import refuse_foreign
from ..storage.paths import plain_path
from ..values.value import Value
from .background import held
from .best import Best
from .callback_arguments import check_arguments, check_destination, check_keeping, check_mode
from .delivery import Delivery, Due
from .metrics import no_monitor, scalars
from .model_checkpoint import Beside, frozen_path
from .monitor import Monitor
from .neighbours import refuse_shared
from .options import Listeners, Options
from .path_template import fields_of, filled_in, lacks_validation
from .placement import refuse_mixed_in
from .schedule import Schedule


class FreezeCallback(_keras.CallbackProtocol):
    """Pass it to `fit`, and it writes a frozen `.pb` after each epoch, or each number of batches.

        model.fit(x, y, callbacks=[fh.FreezeCallback("best.pb", save_best_only=True)])

    It works with Keras 3 (on TensorFlow, JAX and PyTorch), tf_keras and TensorFlow 1.15's
    tf.keras. The model is traced once, with training=False, when training begins. A subclassed
    model is traced after its first batch, which tells its inputs. Each save only writes the present
    weights. With verify=True, each file's answers are compared with those of the model's own call,
    on a part of a batch that `fit` has just trained on.

    Args:
      filepath: where to write; may name `{epoch}`, `{batch}` and metrics, as in
        "{epoch:02d}-{val_loss:.2f}.pb".
      monitor: the metric that decides, with save_best_only.
      verbose: 1 prints a line at each save, and between epochs one for each file that was written.
      save_best_only: write only when the monitored metric beats the best value so far. NaN never
        does. The best value is stored beside the files. It counts when training goes on from an
        earlier one, also after an interruption (keras.callbacks.BackupAndRestore).
      mode: "min", "max", or "auto", which knows Keras's own losses and metrics.
      save_freq: "epoch", or a number of batches.
      initial_value_threshold: the value that the first one must beat.
      beside: a ModelCheckpoint, in place of `filepath` and the arguments before this one. This
        callback runs it (do not pass it to `fit` too), and each file that it writes gets a `.pb`
        beside it.
      max_to_keep: how many files to keep; None keeps all.
      save_on_background: write in a thread while training goes on. The weights are those at the
        moment of the save: TensorFlow's variables move to new memory when they are updated.
      input_signature, signatures, ema, lower_control_flow, weights, check_numerics,
        optimize, verify, format: as in `plan_keras_model`. With format="saved_model", `filepath` is
        the directory, such as "export/{epoch}".
      custom_metadata, assets: as in FreezeHook.
      resume: whether the best value of an earlier training in this directory counts: "auto" if
        this one goes on from it (its first epoch is not 0, or its optimizer has made steps).
      strict: raise what else is only a warning: findings in the graph, and a save that fails.
      on_publish: as in FreezeHook.
      **of_model_checkpoint: save_weights_only, options, period and load_weights_on_restart, if
        their values change nothing for a frozen file; else the error says why.

    You may use one callback for several fits, and several models. Each fit is a new training,
    unless `resume` says that it goes on.

    Raises (when training begins):
      FreezeError: the model cannot be frozen, the directory cannot be written to, or the file would
        pass 2 GiB; at the first save, `monitor` or `filepath` names no metric.
    """

    def __init__(
        self,
        filepath: Any = None,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        mode: str = "auto",
        save_freq: Union[str, int] = "epoch",
        initial_value_threshold: Optional[float] = None,
        *,
        beside: Any = None,
        max_to_keep: Optional[int] = None,
        save_on_background: bool = True,
        input_signature: Any = None,
        signatures: Signatures = None,
        ema: Optional[str] = None,
        lower_control_flow: bool = False,
        weights: Optional[str] = None,
        check_numerics: str = "warn",
        optimize: bool = False,
        verify: Verifying = None,
        format: AskedFormat = "pb",
        custom_metadata: Metadata = None,
        assets: Assets = None,
        resume: Union[bool, str] = "auto",
        strict: bool = False,
        on_publish: Listeners = (),
        **of_model_checkpoint: Any,
    ) -> None:
        check_arguments(of_model_checkpoint, inspect.signature(type(self)).parameters)
        check_destination(filepath, beside, save_best_only or max_to_keep is not None)
        check_mode(mode)
        self._form = form = format_of(format)
        if form.links:
            raise FreezeError(NO_CHECKPOINT)
        self._beside = None if beside is None else Beside(beside, form.suffix)
        self._template = plain_path(beside.filepath if filepath is None else filepath)
        self.writes_to = (
            self._template if beside is None else frozen_path(self._template, form.suffix)
        )
        refuse_foreign(self.writes_to, "filepath", form.is_directory)
        self._directory = filesystem.directory_of(self._template.split("{", 1)[0])
        check_keeping(max_to_keep, self._template, form)
        self._verbose = verbose
        self._schedule = Schedule(save_freq)
        self._mode = mode
        self._batches = Batches()
        self._proves = makes_feeds(verify)
        self._monitor = Monitor(monitor, mode)
        self._save_on_background = save_on_background
        self._input_signature, self._signatures = input_signature, signatures
        self._asked = self._file = FileOptions(
            ema=ema,
            lower_control_flow=lower_control_flow,
            weights=weights,
            check_numerics=check_numerics,
            optimize=optimize,
            verify=verify,
            format=format,
            custom_metadata=custom_metadata,
            assets=assets,
        )
        options = Options.make(
            keep=max_to_keep,
            save_best_only=save_best_only,
            monitor=monitor,
            threshold=initial_value_threshold,
            resume=resume,
            strict=strict,
            on_publish=on_publish,
        )
        key = filesystem.relative(self._template, self._directory)
        self._delivery = Delivery(options, key, "FreezeCallback")
        self._plan: Optional[FunctionPlan] = None
        self._resumed: Optional[bool] = None
        self._filled_in = False
        self._epoch = 0
        self._thread = threading.get_ident()
        self._is_chief, self._together = True, False  # whether all workers must read variables
        self.params: Any = None
        self.model: Any = None
        # whether Keras 3 may call this without waiting for the device
        self.async_safe = self._schedule.each_epoch and beside is None

    @property
    def artifacts(self) -> Tuple[Artifact, ...]:
        """The files of this training that are still kept, oldest first."""
        return self._delivery.written()

    def set_params(self, params: Any) -> None:
        """Called by Keras."""
        self.params = params
        if self._beside:
            self._beside.callback.set_params(params)

    def set_model(self, model: Any) -> None:
        """Called by Keras."""
        self.model = model
        if self._beside:
            self._beside.callback.set_model(model)

    def on_train_begin(self, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Plan the model, so that as much as possible fails before training."""
        refuse_shared(self, self.writes_to, self._beside and self._beside.callback)
        if self._beside:
            self._beside.callback.on_train_begin(logs)
        strategy = _tf.strategy_of(self.model)
        self._is_chief, self._together = _tf.is_chief(strategy), _tf.several_workers(strategy)
        try:
            if self._is_chief:
                atomic.ensure_writable(self._directory)
        except OSError as error:
            raise FreezeError(f"filepath= cannot be written to: {error}") from error
        if self._is_chief:
            refuse_mixed_in(self._form, self._template)
        self._delivery.written()
        self._thread = threading.get_ident()
        self._monitor = Monitor(self._delivery.options.monitor, self._mode)
        self._plan, self._resumed, self._filled_in = None, None, False
        self._file = self._asked.loaded()
        check_call(self.model)
        if self._file.ema:
            check_averages(self.model)
        looks = self._batches.begin(self.model)
        if not self._waits(looks):
            self._batches.wanted = self._proves
            self._make_plan()

    def _make_plan(self) -> None:
        self._plan = plan_seen(
            self.model, self._batches, self._input_signature, self._file, self._signatures
        )
        self._batches.settle(self._plan.signature, self._proves)
        self._delivery.report(self._plan.findings)

    def on_epoch_begin(self, epoch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Note the epoch, and whether training goes on from an earlier one."""
        self._epoch = epoch
        if self._resumed is None:  # only now have all callbacks restored their state
            self._resumed = epoch > 0 or bool(step_of(self.model))
            self._schedule.begin(self._delivery.begin(self._resumed))
        self._batches.follow(self.model)  # another callback may have replaced the train function
        self._batches.wanted = self._batches.wanted or self._proves
        if self._beside:
            self._beside.callback.on_epoch_begin(epoch, logs)

    @_keras.needs_no_wait
    def on_train_batch_begin(self, batch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Pass it on to the callback of `beside`."""
        if self._beside:
            self._beside.callback.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Save, if as many batches have passed."""
        self._delivery.raise_error()
        if self._plan is None and threading.get_ident() == self._thread:
            self._make_plan()  # on JAX, another thread calls this while training goes on
        if self._beside:
            self._save_beside(batch, logs)
        elif self._schedule.is_due(batch):
            self._save(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Save, if saves are due at each epoch."""
        self._delivery.raise_error()
        self._say_written()
        if self._plan is None:
            self._make_plan()
        if self._beside:
            self._save_beside(None, logs)
        elif self._schedule.each_epoch:
            self._save(None, logs)

    def on_train_end(self, logs: Optional[Mapping[str, Any]] = None) -> None:
        """Wait until the last file is complete."""
        self._batches.end(self.model)
        if self._beside:
            self._beside.callback.on_train_end(logs)
        self._delivery.flush()
        self._say_written()
        unseen = self._resumed is not None and not self._monitor.seen
        if self._delivery.options.save_best_only and unseen and self._is_chief:
            raise no_monitor(self._delivery.options.monitor, {})
        self._delivery.explain(self._schedule.missing(self._beside), self._is_chief)

    def _implements_train_batch_hooks(self) -> bool:
        """Return whether it needs batches; ParameterServerStrategy refuses callbacks that do."""
        if self._beside is not None:
            return bool(self._beside.callback._implements_train_batch_hooks())
        return not self._schedule.each_epoch or self._waits(may_look(self.model))

    def _waits(self, looks: bool) -> bool:
        """Return whether only the first batch, which can be seen if `looks`, tells the inputs."""
        if self._input_signature is not None or is_declared(self.model):
            return False
        return looks or not is_known(self.model)

    def _save(self, batch: Optional[int], logs: Optional[Mapping[str, Any]]) -> None:
        options = self._delivery.options
        metrics = scalars(logs, options.monitor if options.save_best_only else None)
        try:
            path = filled_in(self._template, self._epoch, batch, metrics)
        except UnknownNameError as error:
            fields = fields_of(self._template)
            if not (self._filled_in or lacks_validation(fields, metrics)):
                raise
            self._delivery.failed(error, self._template)
            return
        self._filled_in = True
        values = self._read_together()
        if not self._is_chief:
            return
        if not options.save_best_only:
            self._say(f"freezing to {path}")
            self._write(path, metrics, values)
            return
        value = self._monitor.value(metrics)
        mode = self._monitor.direction(self.model)
        base = filesystem.relative(path, self._directory)
        try:
            best = self._delivery.best(self._directory, base, bool(self._resumed), mode)
        except OSError as error:
            self._delivery.failed(error, path)
            return
        if value is None or best is None:
            return
        so_far = "" if best.value is None else f" from {best.value:.5f}"
        if self._delivery.beats(best, value):
            self._say(f"{best.monitor} improved{so_far} to {value:.5f}, freezing to {path}")
            self._write(path, metrics, values, best)
        else:
            self._say(f"{best.monitor} did not improve{so_far}")

    def _save_beside(self, batch: Optional[int], logs: Optional[Mapping[str, Any]]) -> None:
        assert self._beside is not None
        path = self._beside.run(self._epoch, batch, logs)
        values = self._read_together()
        if path is not None and self._is_chief:
            self._say(f"freezing to {path}")
            self._write(path, scalars(logs), values)

    def _read_together(self) -> Optional[Iterator[Value]]:
        """Read the weights now if all workers must read together for one of them to write.

        They read at each save, even if no file is due: only the chief knows the best value.
        """
        if not self._together or self._plan is None:
            return None
        with contextlib.suppress(FreezeError):  # raised and reported again when the file is due
            self._plan.renew()
        return held(self._plan.at_once)

    def _write(
        self,
        path: str,
        metrics: Mapping[str, float],
        values: Optional[Iterator[Value]] = None,
        best: Optional[Best] = None,
    ) -> None:
        """Write the present weights (`values`) to a file; they beat `best`, if given."""
        try:
            due = Due(
                self._prepare(metrics, values),
                self._directory,
                filesystem.relative(path, self._directory),
                self._delivery.options.keep,
                best=None if best is None else best.claim(metrics[best.monitor]),
                makes_directory=True,
            )
            self._delivery.deliver(due, path, self._save_on_background)
        except Exception as error:
            self._delivery.failed(error, path)

    def _prepare(
        self, metrics: Mapping[str, float], values: Optional[Iterator[Value]]
    ) -> Callable[[str], Artifact]:
        """Return a function that writes the present weights (`values`) to a path."""
        plan = self._plan
        assert plan is not None
        self._delivery.report(plan.renew())
        synchronize(self.model)
        self._batches.wanted = self._proves  # keep a batch that training sees before the next file
        step = step_of(self.model)
        if values is None and self._save_on_background:
            values = held(plan.at_once, checked=bool(self._file.verify))
        return plan.prepare(metrics, step, values)

    def _say(self, what: str) -> None:
        if self._verbose:
            print(f"\nEpoch {self._epoch + 1}: {what}")

    def _say_written(self) -> None:
        """Print written files between two epochs: a thread's lines would break the progress bar."""
        while self._delivery.news:
            artifact = self._delivery.news.popleft()
            if self._verbose:
                print(f"\n{artifact}")

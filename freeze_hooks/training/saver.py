"""FreezingSaver: a Saver that writes a frozen file beside each checkpoint."""

from __future__ import annotations

from typing import Any, Callable, Optional, Tuple

from .. import _saver
from .._tf import v1
from ..frozen.artifact import Artifact
from ..plan.carried import Assets, Metadata
from ..plan.file_options import FileOptions
from ..plan.formats import AskedFormat
from ..plan.spec import FreezeSpec, Names, Signatures
from ..proof.asked import Verifying
from ..sources.session import LiveGraph
from ..values.renaming import Renaming
from .no_file import explain_at_exit, writes_here
from .options import Listeners
from .session_delivery import Evaluate, SessionDelivery, SessionOptions


class FreezingSaver(v1.train.Saver):
    """Use it in place of a tf.compat.v1.train.Saver: in your own loop, a Supervisor,
    `tf_slim.learning.train(saver=...)` or a Scaffold.

        saver = fh.FreezingSaver(outputs=["probs"], bind={"is_training:0": False}, max_to_keep=3)
        saver.save(session, "run/model.ckpt", global_step=step)  # and run/model.ckpt-STEP.pb

    The default graph is compiled when the saver is built: in the constructor, or in `build()` with
    `defer_build=True`. So the outputs must exist by then, and the graph must not be finalized.

    Args:
      outputs, inputs, bind, signatures, inference_fn, variable_map, ema, values,
      lower_control_flow, weights, check_numerics, optimize, verify, format, custom_metadata,
      assets, output_dir, name, keep, latest, save_best_only, evaluate, monitor, mode, threshold,
      resume, strict, on_publish, save_on_background: as in FreezeHook (the file's name is
        `freeze_name` here, since a Saver has a `name`).
      **saver: the arguments of tf.compat.v1.train.Saver, by name.

    Raises:
      FreezeError: as FreezeHook in `begin()`. A save that fails is a warning, unless `strict`.
    """

    def __init__(
        self,
        outputs: Names = None,
        *,
        inputs: Names = None,
        bind: Any = None,
        signatures: Signatures = None,
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
        custom_metadata: Metadata = None,
        assets: Assets = None,
        output_dir: Optional[str] = None,
        freeze_name: Optional[str] = None,
        keep: Optional[int] = None,
        latest: bool = False,
        save_best_only: bool = False,
        evaluate: Optional[Evaluate] = None,
        monitor: Optional[str] = None,
        mode: str = "min",
        threshold: Optional[float] = None,
        resume: Any = "auto",
        strict: bool = False,
        on_publish: Listeners = (),
        save_on_background: bool = False,
        **saver: Any,
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
                custom_metadata=custom_metadata,
                assets=assets,
            ),
            signatures,
            inference_fn=inference_fn,
            variable_map=variable_map,
            values=values,
        )
        self._options = SessionOptions.make(
            output_dir=output_dir,
            name=freeze_name or "",
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
        self._delivery: Optional[SessionDelivery] = None
        super().__init__(**saver)

    @property
    def artifacts(self) -> Tuple[Artifact, ...]:
        """The files of this saver that are still kept, oldest first."""
        return self._delivery.written() if self._delivery else ()

    def _compile(self) -> None:
        self._options.check()
        graph = v1.get_default_graph()
        self._delivery = SessionDelivery(
            graph, LiveGraph(graph, self._spec), self._options, "FreezingSaver"
        )
        if writes_here(graph):
            explain_at_exit(self._delivery.saves, "FreezingSaver", "its save() was never called")

    def build(self) -> None:
        """Add the ops that save and restore, and compile the graph to freeze."""
        super().build()
        if self._delivery is None:
            self._compile()

    def save(self, sess: Any, *args: Any, **more: Any) -> Any:
        """Save a checkpoint as tf.compat.v1.train.Saver.save does, and a frozen file beside it."""
        prefix = super().save(sess, *args, **more)
        if prefix is not None and self._delivery is not None:
            numbered = _saver.is_numbered(*args, **more)
            self._delivery.after_save(self, sess, prefix, numbered)
        return prefix

    def restore(self, sess: Any, save_path: Any) -> None:
        """Restore a checkpoint as tf.compat.v1.train.Saver.restore does."""
        super().restore(sess, save_path)
        if self._delivery is not None:
            self._delivery.saves.restored()

"""Estimators: builds their inference graph for FreezeHook, and exports frozen files."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Callable, Dict, Mapping, Optional, Sequence, Tuple

import tensorflow as tf

from .. import _tf
from .._tf import v1
from ..errors import FreezeError, UnknownNameError, near
from ..frozen.artifact import Artifact
from ..graph.names import by_node_name
from ..plan.carried import Assets, Metadata
from ..plan.file_options import FileOptions
from ..plan.formats import AskedFormat, format_of
from ..plan.spec import Request
from ..proof.asked import Verifying
from ..signature import SERVING
from ..sources.at_path import find_prefix
from ..sources.checkpoint import CheckpointedGraph
from ..sources.checkpoint_index import step_in
from ..sources.graph_file import as_graph
from ..sources.source import Source
from ..storage.filesystem import filesystem_of
from ..storage.paths import plain_path
from ..values.renaming import Renaming
from .delivery import Delivery, Due
from .metrics import monitored, scalars
from .options import Listeners, Options
from .placement import Place, place, refuse_mixed

KINDS = ("latest", "best", "final")
Tensors = Dict[str, Any]
_Exporter: Any = _tf.exporter_base()  # EvalSpec accepts only this class


def estimator_inference(
    estimator: Any,
    serving_input_receiver_fn: Callable[[], Any],
    signature: Optional[str] = None,
    signatures: Sequence[str] = (),
) -> Callable[[], Any]:
    """Return an `inference_fn=` for FreezeHook that builds an Estimator's graph for prediction.

        freeze = fh.FreezeHook(inference_fn=fh.estimator_inference(classifier, serving))
        classifier.train(train_input, hooks=[freeze])

    Args:
      estimator: a tf.estimator.Estimator; its model_fn is called with mode PREDICT.
      serving_input_receiver_fn: as tf.estimator.Estimator.export_saved_model takes it. The
        receiver's tensors are the file's inputs, under their keys.
      signature: which of the EstimatorSpec's `export_outputs` are the file's outputs, such as
        "serving_default"; None takes `predictions`, which `estimator.predict` returns.
      signatures: the keys of further ones, which become further signatures of the file.

    Returns:
      A function for `inference_fn=`. It raises UnknownNameError if there is no such signature, and
      FreezeError if the EstimatorSpec has no predictions.
    """

    listed = [signatures] if isinstance(signatures, str) else list(signatures)

    def build() -> Any:
        v1.train.get_or_create_global_step()  # a model_fn may need it
        receiver = serving_input_receiver_fn()
        mode = v1.estimator.ModeKeys.PREDICT
        spec = estimator.model_fn(receiver.features, None, mode, estimator.config)
        inputs = _named(dict(receiver.receiver_tensors))
        main = inputs, _named(_answers(spec, signature))
        others = {key: (inputs, _named(_answers(spec, key))) for key in listed}
        return {SERVING: main, **others} if others else main

    return build


def _named(tensors: Tensors) -> Tensors:
    return by_node_name(tensors)


def _answers(spec: Any, signature: Optional[str]) -> Tensors:
    if signature is None:
        predictions = spec.predictions
        if predictions is None:
            raise FreezeError("the EstimatorSpec for mode PREDICT has no predictions")
        return predictions if isinstance(predictions, dict) else {"predictions": predictions}
    known = spec.export_outputs or {}
    if signature not in known:
        listed = near(signature, known) + sorted(known)
        there = ", ".join(dict.fromkeys(map(repr, listed))) or "none"
        raise UnknownNameError(
            f"signature={signature!r} is not among the EstimatorSpec's export_outputs: {there}"
        )
    output = known[signature]
    if hasattr(output, "outputs"):  # PredictOutput
        return dict(output.outputs)
    parts = ((part, getattr(output, part, None)) for part in ("scores", "classes", "value"))
    return {part: tensor for part, tensor in parts if tensor is not None}


class FreezeExporter(_Exporter):
    """Pass it to `tf.estimator.EvalSpec`, and train_and_evaluate writes frozen `.pb` files.

        tf.estimator.EvalSpec(eval_input, exporters=fh.FreezeExporter("frozen", serving))

    After an evaluation, the graph for prediction is built and frozen with the values of the
    evaluated checkpoint. They are read from its files, without a session or restore. The files are
    in `export/NAME` of the model's directory: `model.ckpt-STEP.pb`, `best.pb` or `final.pb`.

    Args:
      name: the directory's name.
      serving_input_receiver_fn, signature, signatures: as in `estimator_inference`.
      kind: "latest" writes after each evaluation and keeps the newest files; "best" writes only
        when the monitored metric beats the best value so far, including before a restart; "final"
        writes when training has ended.
      keep: how many files "latest" keeps; None keeps all.
      monitor: the metric that decides for "best", by its name in `Estimator.evaluate`.
      mode: "min" or "max": which is better. NaN never is.
      bind, variable_map, ema, lower_control_flow, weights, check_numerics,
        optimize, verify, format: as in `freeze_checkpoint`. SavedModels are `export/NAME/STEP`, and
        the best one `export/NAME/best/STEP`.
      custom_metadata, assets: as in FreezeHook; paths are read now.
      strict: raise findings in the graph, and failures to write, which else are warnings.
      on_publish: as in FreezeHook.

    Raises:
      FreezeError: an argument is wrong, or TensorFlow has no Estimator (after 2.15).
    """

    def __init__(
        self,
        name: str,
        serving_input_receiver_fn: Callable[[], Any],
        *,
        kind: str = "latest",
        signature: Optional[str] = None,
        signatures: Sequence[str] = (),
        keep: Optional[int] = 5,
        monitor: str = "loss",
        mode: str = "min",
        bind: Any = None,
        variable_map: Renaming = None,
        ema: Any = None,
        lower_control_flow: bool = False,
        weights: Optional[str] = None,
        check_numerics: str = "warn",
        optimize: bool = False,
        verify: Verifying = None,
        format: AskedFormat = "pb",
        custom_metadata: Metadata = None,
        assets: Assets = None,
        strict: bool = False,
        on_publish: Listeners = (),
    ) -> None:
        if _Exporter is object:
            raise FreezeError(f"TensorFlow {_tf.VERSION} has no Estimator: 2.15 was the last with")
        if kind not in KINDS:
            raise FreezeError(f"kind= is one of {KINDS}, not {kind!r}")
        if not name:
            raise FreezeError("name= is empty: it is the name of a directory")
        self._name = name
        self._kind = kind
        self._serving = serving_input_receiver_fn
        self._signature, self._signatures = signature, signatures
        self._request = Request(bind=bind, variable_map=variable_map)
        self._file = FileOptions(
            ema=ema,
            lower_control_flow=lower_control_flow,
            weights=weights,
            check_numerics=check_numerics,
            optimize=optimize,
            verify=verify,
            format=format,
            custom_metadata=custom_metadata,
            assets=assets,
        ).loaded()
        self._request.spec(self._file)  # raises errors now, not at an export
        options = Options.make(
            keep=keep if kind == "latest" else None,
            save_best_only=kind == "best",
            monitor=monitor,
            mode=mode,
            resume=True,  # an Estimator always goes on from its directory
            strict=strict,
            on_publish=on_publish,
        )
        self._form = format_of(format)
        self._delivery = Delivery(options, name, "FreezeExporter")
        self._reported = False

    @property
    def name(self) -> str:
        """The name of the directory, for tf.estimator."""
        return self._name

    @property
    def artifacts(self) -> Tuple[Artifact, ...]:
        """The files of this exporter that are still kept, oldest first."""
        return tuple(self._delivery.artifacts)

    def export(
        self,
        estimator: Any,
        export_path: Any,
        checkpoint_path: Any,
        eval_result: Optional[Mapping[str, Any]],
        is_the_final_export: bool,
    ) -> Optional[str]:
        """Called by tf.estimator after an evaluation.

        Returns:
          The path of the written file, or None.
        """
        if self._kind == "final" and not is_the_final_export:
            return None
        directory, prefix = plain_path(export_path), plain_path(checkpoint_path)
        stem = {"latest": os.path.basename(prefix)}.get(self._kind, self._kind)
        try:
            refuse_mixed(self._form, directory)
            step, best = step_in(prefix), self._kind == "best"
            where = place(self._form, os.path.join(directory, stem), step, directory, "", best)
            return self._put(estimator, where, prefix, scalars(eval_result))
        except Exception as error:
            self._delivery.failed(error, os.path.join(directory, stem))
            return None
        finally:
            if is_the_final_export:
                self._delivery.explain("no evaluation gave one")

    def _put(
        self, estimator: Any, where: Place, prefix: str, metrics: Mapping[str, float]
    ) -> Optional[str]:
        directory, value = where.directory, None
        best = self._delivery.best(directory, where.known, True)
        if best is not None:
            value = monitored(best.monitor, metrics, "the evaluation")
            if not self._delivery.beats(best, value):
                return None
        filesystem_of(directory).make_directory(directory)
        freeze = self._source(estimator, prefix).prepare(metrics)
        claimed = None if best is None or value is None else best.claim(value)
        keep = where.keep if self._kind == "best" else self._delivery.options.keep
        due = Due(freeze, directory, where.base, keep, best=claimed)
        self._delivery.put(due)
        return due.path

    def _source(self, estimator: Any, prefix: str) -> Source:
        with tf.Graph().as_default() as graph:
            build = estimator_inference(estimator, self._serving, self._signature, self._signatures)
            built = build()
        ends = built if isinstance(built, dict) else {SERVING: built}
        inputs, outputs = ends.pop(SERVING)
        request = dataclasses.replace(
            self._request, outputs=outputs, inputs=inputs, signatures=ends or None
        )
        spec = request.spec(self._file)
        source = CheckpointedGraph(as_graph(graph), find_prefix(prefix)).source(spec)
        if not self._reported:
            self._delivery.report(source.plan.findings)
            self._reported = True
        return source

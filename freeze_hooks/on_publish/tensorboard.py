"""TensorBoard: graphs for its graph tab, and `to_tensorboard` to plot the figures of each save."""

from __future__ import annotations

import time
from typing import Any, Callable

import tensorflow as tf

from .._protos import GraphDef
from .._tf import v1
from ..frozen.artifact import Artifact

_SHOWN = 1024  # bytes: longer values are useless on the screen


def write_events(graph_def: Any, directory: str) -> None:
    """Write a GraphDef, without its large constants' values, as an event file.

    Raises:
      tf.errors.OpError: the directory cannot be written to.
    """
    shown = GraphDef()
    shown.CopyFrom(graph_def)
    for node in shown.node:
        if node.op == "Const" and node.attr["value"].ByteSize() > _SHOWN:
            node.attr["value"].tensor.ClearField("tensor_content")
    event = v1.Event(wall_time=time.time(), graph_def=shown.SerializeToString())
    with tf.Graph().as_default():  # FileWriter refuses eager execution
        writer = v1.summary.FileWriter(directory)
    writer.add_event(event)
    writer.close()


def to_tensorboard(writer: Any) -> Callable[[Artifact], None]:
    """Plot seconds, megabytes and difference of each save: `fh.to_tensorboard(writer)(artifact)`.

    The tags are `freeze/seconds`, `freeze/megabytes` and, with `verify=`,
    `freeze/max_difference`, at the artifact's step.

    Args:
      writer: a tf.compat.v1.summary.FileWriter, or a writer of tf.summary.create_file_writer.

    Returns:
      A function that writes the figures of one Artifact.
    """

    def scalars(artifact: Artifact) -> None:
        values = {"seconds": artifact.seconds, "megabytes": artifact.bytes / 1e6}
        if artifact.max_difference is not None:
            values["max_difference"] = artifact.max_difference
        step = artifact.step or 0
        pairs = [v1.Summary.Value(tag=f"freeze/{k}", simple_value=v) for k, v in values.items()]
        summary = v1.Summary(value=pairs)
        if hasattr(writer, "add_summary"):
            writer.add_summary(summary, step)
        else:
            with writer.as_default():
                tf.summary.experimental.write_raw_pb(summary.SerializeToString(), step=step)
        writer.flush()

    return scalars

"""Graphs for TensorBoard's graph tab."""

from __future__ import annotations

import time
from typing import Any

import tensorflow as tf

from .._tf import GraphDef, v1

_SHOWN = 1024  # bytes: longer values say nothing on the screen


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
    with tf.Graph().as_default():  # the writer refuses to be made where ops run at once
        writer = v1.summary.FileWriter(directory)
    writer.add_event(event)
    writer.close()

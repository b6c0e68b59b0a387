"""Finds out whether variables may change between a Saver's save and our read of them."""

from __future__ import annotations

import threading
from typing import Any

from .. import _tf


def updates_meanwhile(session: Any) -> bool:
    """Return whether a read of the session now may give other values than the checkpoint's.

    This is so if the session is in another process, whose other clients run steps too. It is also
    so in another thread than the main thread: a Supervisor's timer saves while that trains.
    """
    return _tf.runs_elsewhere(session) or threading.current_thread() is not threading.main_thread()


def queues_update(graph: Any) -> bool:
    """Return whether filling a queue updates variables, as SyncReplicasOptimizer's thread does."""
    fills = (op for op in graph.get_operations() if "QueueEnqueue" in op.type)
    return any(_changes_variables(op) for op in fills)


def _changes_variables(operation: Any) -> bool:
    stack, seen = [operation], {operation.name}
    while stack:
        current = stack.pop()
        if current.type.startswith(("Assign", "Apply", "SparseApply", "Scatter")) or (
            current.type.startswith("Resource")
            and current.type not in ("ResourceGather", "ResourceGatherNd")
        ):
            return True
        above = [tensor.op for tensor in current.inputs] + list(current.control_inputs)
        fresh = [op for op in above if op.name not in seen]
        seen.update(op.name for op in fresh)
        stack.extend(fresh)
    return False

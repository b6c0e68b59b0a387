"""Whether steps may change variables while a Saver's caller reads them."""

from __future__ import annotations

import threading
from typing import Any

from .. import _tf


def updates_meanwhile(session: Any) -> bool:
    """Whether a second read of the session may see other values than the checkpoint has.

    So it is where the session is another process's, whose other clients run steps too, and off
    the main thread, where a Supervisor's timer saves while the main thread trains.
    """
    return _tf.runs_elsewhere(session) or threading.current_thread() is not threading.main_thread()


def queues_update(graph: Any) -> bool:
    """Whether filling a queue applies updates, as the thread of a SyncReplicasOptimizer does."""
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

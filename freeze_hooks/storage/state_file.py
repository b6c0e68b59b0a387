"""Reads and writes a directory's `frozen_state.json`: kept files and the best value, by name."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from typing import Any, Dict, Iterator

from .atomic import publish_json
from .filesystem import read

STATE_FILE = "frozen_state.json"
_state_lock = threading.Lock()  # several adapters may write in one directory, in threads


def _unlock() -> None:
    """Make a new lock in a forked process, which lacks the thread that may hold the old one."""
    global _state_lock
    _state_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


@contextlib.contextmanager
def changed(directory: str, name: str, durable: bool = True) -> Iterator[Dict[str, Any]]:
    """Give the state's entry for a name; changes to it are saved. One thread at a time.

    Without `durable`, they outlive the process, but perhaps not the machine.
    """
    path = os.path.join(directory, STATE_FILE)
    with _state_lock:
        state = _load(path)
        own = dict(as_dict(state.get(name)))
        before = json.dumps(own)
        yield own
        if json.dumps(own) != before:
            publish_json(path, {**state, name: own}, durable)


def as_dict(value: Any) -> Dict[str, Any]:
    """Return a value if it is a dict, else an empty dict."""
    return value if isinstance(value, dict) else {}


def _load(path: str) -> Dict[str, Any]:
    try:
        state = json.loads(read(path).decode())
        json.dumps(state, allow_nan=False, ensure_ascii=False).encode()  # else it is not ours
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return as_dict(state)


def remembered(directory: str, name: str) -> Dict[str, Any]:
    """Return the state's entry for a name; empty if there is none."""
    return as_dict(_load(os.path.join(directory, STATE_FILE)).get(name))

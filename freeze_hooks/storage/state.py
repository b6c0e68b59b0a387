"""What a directory's `frozen_state.json` remembers: kept files, the best value; one key a name."""

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
    """In a forked process: who had the lock may be no thread of it."""
    global _state_lock
    _state_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock)


@contextlib.contextmanager
def changed(directory: str, name: str) -> Iterator[Dict[str, Any]]:
    """What the directory's state has under a name, to be changed: one thread at a time."""
    path = os.path.join(directory, STATE_FILE)
    with _state_lock:
        state = _load(path)
        own = dict(as_dict(state.get(name)))
        before = json.dumps(own)
        yield own
        if json.dumps(own) != before:
            publish_json(path, {**state, name: own})


def as_dict(value: Any) -> Dict[str, Any]:
    """What should be a dict; an empty one, where it is none."""
    return value if isinstance(value, dict) else {}


def _load(path: str) -> Dict[str, Any]:
    try:
        state = json.loads(read(path).decode())
        json.dumps(state, allow_nan=False, ensure_ascii=False).encode()  # else it is none of ours
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return as_dict(state)


def remembered(directory: str, name: str) -> Dict[str, Any]:
    """What the directory's state has under a name; empty, where it has nothing."""
    return as_dict(_load(os.path.join(directory, STATE_FILE)).get(name))

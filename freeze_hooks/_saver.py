"""Asks Savers where they put variables, and calls listeners after each Saver.save."""

from __future__ import annotations

import functools
import threading
import weakref
from typing import Any, Callable, Dict, Optional

from ._tf import replicas_of, v1
from .graph.restore_ops import SavedKey


def saved_keys(saver: Any) -> Dict[str, SavedKey]:
    """Return {variable's op name: its place in the saver's checkpoints}."""
    listed = saver._var_list
    named = listed.items() if isinstance(listed, dict) else ((None, v) for v in listed or ())
    found = {}
    for key, entry in named:
        for variable in entry if isinstance(entry, (list, tuple)) else _slices(entry):
            info = getattr(variable, "_save_slice_info", None)
            operation = getattr(variable, "op", None)
            if operation is None:
                continue
            if info is None:
                found[operation.name] = SavedKey(key or operation.name)
            else:
                place = SavedKey(key or info.full_name, info.var_offset, info.var_shape)
                found[operation.name] = place
    return found


def _slices(entry: Any) -> Any:
    """Return a PartitionedVariable's slices; of another variable the variable itself."""
    if hasattr(type(entry), "_get_partitions"):  # of the type: the entry may add ops
        return list(entry)
    return replicas_of(entry)[:1]


def is_numbered(*args: Any, **kwargs: Any) -> bool:
    """Return whether Saver.save, with these arguments after the session, adds the step."""
    return kwargs.get("global_step", args[1] if len(args) > 1 else None) is not None


_lock = threading.RLock()  # a finalizer may run while this thread holds it


_listeners: Any = weakref.WeakKeyDictionary()


_intercepting: Optional[Callable[..., Any]] = None


def on_save(graph: Any, listener: Any) -> None:
    """Call `listener.after_save(saver, session, prefix, numbered)` after a graph's Saver.save.

    The listener is held weakly. When no listener is left, the original Saver.save is restored.
    """
    with _lock:
        _listeners.setdefault(graph, weakref.WeakSet()).add(listener)
        _install()
    weakref.finalize(listener, _uninstall_if_idle)


def off_save(listener: Any) -> None:
    """Stop calling `listener`."""
    with _lock:
        for listening in list(_listeners.values()):
            listening.discard(listener)
    _uninstall_if_idle()


def _install() -> None:
    global _intercepting
    if _intercepting is not None:
        return
    original = v1.train.Saver.save

    @functools.wraps(original)
    def save(self: Any, sess: Any, *args: Any, **kwargs: Any) -> Any:
        prefix = original(self, sess, *args, **kwargs)
        if prefix is not None:
            with _lock:
                listening = list(_listeners.get(getattr(sess, "graph", None), ()))
            for listener in listening:
                listener.after_save(self, sess, prefix, is_numbered(*args, **kwargs))
        return prefix

    v1.train.Saver.save = _intercepting = save


def _uninstall_if_idle() -> None:
    global _intercepting
    with _lock:
        # list() skips dead listeners, which len() may still count while finalizers run
        if _intercepting is None or any(list(listening) for listening in _listeners.values()):
            return
        if v1.train.Saver.save is _intercepting:  # else another library wrapped ours
            v1.train.Saver.save = _intercepting.__wrapped__
            _intercepting = None

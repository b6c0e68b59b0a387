"""Threads that must not stay."""

import threading


def assert_none_left(name):
    """Each thread of a name that begins so ends: a moment after its work, which is waited for."""
    for thread in threading.enumerate():
        if thread.name.startswith(name):
            thread.join(60)
            assert not thread.is_alive()

"""A process that is forked while another thread of its parent writes a file of 288 MB.

    python forking.py DIRECTORY

The child says "child" and waits until its standard input ends; so does the parent, before it ends
the file.
"""

import os
import sys
import threading

from freeze_hooks.storage import atomic, in_flight, locks, retention, state_file
from freeze_hooks.training.background import Background

directory = sys.argv[1]
own, more = os.path.join(directory, "parent.pb"), os.path.join(directory, "child.pb")
claim = locks.claim(directory)
assert claim is not None
background, begun, go = Background(), threading.Event(), threading.Event()


def write(file):
    for _ in range(18):  # beyond 256 MiB, another thread writes
        file.write(b"n" * (16 << 20))
    begun.set()
    go.wait()


def save():
    with state_file.changed(directory, "parent"):  # whose lock the child must not wait for
        atomic.publish(own, write)


background.submit(own, save)
begun.wait()
child = os.fork()
if child == 0:
    background.flush()
    assert not claim.holds() and locks.claim(directory) is None  # for the parent has it
    assert locks.sweep(directory) == []
    assert in_flight.wait(0)
    retention.retain(directory, "child", "child.pb", "", lambda prefix: True)
    background.submit(more, lambda: atomic.publish(more, lambda file: file.write(b"child")))
    background.flush()
    print("child", flush=True)
    sys.stdin.read()
    sys.exit(0)
os.close(1)
sys.stdin.read()
go.set()
background.flush()
background.raise_error()
assert os.waitpid(child, 0)[1] == 0

"""One thread writes while training goes on, and the number of waiting jobs is limited."""

import signal
import threading
import time

import numpy as np
import pytest
from threads import assert_none_left

import freeze_hooks as fh
from freeze_hooks.training.background import Background, held
from freeze_hooks.values.value import Value


def test_jobs_run_in_order_and_flush_waits():
    background, done = Background(), []
    for i in range(20):
        background.submit(str(i), lambda i=i: done.append((i, threading.current_thread().name)))
    background.flush()
    assert [i for i, _ in done] == list(range(20))
    assert {name for _, name in done} == {"freeze_hooks background"}
    assert_none_left("freeze_hooks background")


def test_a_newer_job_takes_the_place_of_one_that_waits_for_the_same_path():
    background, go, done = Background(), threading.Event(), []
    began = threading.Event()

    def first():
        began.set()
        go.wait(60)
        done.append("first")

    background.submit("a", first)
    began.wait(60)
    for i in range(5):
        background.submit("a", lambda i=i: done.append(i))
    go.set()
    background.flush()
    assert done == ["first", 4]


def test_a_job_for_another_path_waits_until_the_one_before_has_begun():
    background, go, done = Background(), threading.Event(), []
    background.submit("a", lambda: (go.wait(60), done.append("a")))
    background.submit("b", lambda: done.append("b"))
    submitted = threading.Event()

    def third():
        background.submit("c", lambda: done.append("c"))
        submitted.set()

    thread = threading.Thread(target=third)
    thread.start()
    assert not submitted.wait(0.2)  # "a" is running and "b" waits: no further job may wait
    go.set()
    thread.join(60)
    background.flush()
    assert done == ["a", "b", "c"]


def test_errors_are_raised_once():
    background = Background()

    def fail():
        raise ValueError("of the job")

    background.submit("a", fail)
    background.flush()
    with pytest.raises(ValueError, match="of the job"):
        background.raise_error()
    background.raise_error()
    done = []
    background.submit("a", lambda: done.append(1))
    background.flush()
    assert done == [1]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="Windows has no such signals")
@pytest.mark.parametrize("waits", ["flush", "submit"])
def test_a_signal_that_another_thread_gets_is_handled_while_the_main_thread_waits(waits):
    background, handled, seen = Background(), threading.Event(), []

    def job():
        time.sleep(0.3)  # the main thread waits by now
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        seen.append(handled.wait(20))

    before = signal.signal(signal.SIGUSR1, lambda number, frame: handled.set())
    try:
        background.submit("a", job)
        if waits == "submit":
            background.submit("b", lambda: None)
            background.submit("c", lambda: None)
        background.flush()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [True]


def test_a_held_value_that_changes_is_not_written():
    """With verify=, what is written is what was read, even if it shares a variable's memory."""
    array = np.arange(4, dtype=np.float32)
    value = Value((4,), array.nbytes, [array.view(np.uint8).data])
    kept = held(lambda: iter([value]), checked=True)
    assert b"".join(next(kept).chunks) == array.tobytes()
    kept = held(lambda: iter([value]), checked=True)
    array[2] = 7
    with pytest.raises(fh.NotVerifiedError, match=r"shape \[4\] changed after it was read"):
        next(kept)
    assert next(held(lambda: iter([value]))).shape == (4,)

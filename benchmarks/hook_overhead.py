"""The time that an idle FreezeHook adds to a training step.

    python benchmarks/hook_overhead.py

Three MonitoredSessions run the same one-op step in turns: no hook, an empty hook, a FreezeHook.
"""

import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

import freeze_hooks as fh

v1 = tf.compat.v1
ROUNDS, STEPS = 15, 2000


def session(hooks):
    """Return (session, train op) of a minimal step."""
    with tf.Graph().as_default():
        w = v1.get_variable("w", [])
        train_op = v1.assign_add(w, 1.0).op
        tf.identity(w, name="y")
        v1.train.get_or_create_global_step()
        return v1.train.MonitoredSession(hooks=hooks), train_op


def microseconds(made):
    """Return the mean microseconds of a step, over STEPS steps."""
    training, train_op = made
    start = time.perf_counter()
    for _ in range(STEPS):
        training.run(train_op)
    return (time.perf_counter() - start) / STEPS * 1e6


def main():
    v1.logging.set_verbosity(v1.logging.ERROR)

    class Nothing(v1.train.SessionRunHook):
        """A hook without code, which measures the cost of TensorFlow's own loop over hooks."""

    made = {
        "no hook": session([]),
        "an empty hook": session([Nothing()]),
        "FreezeHook": session([fh.FreezeHook(["y"])]),
    }
    rounds = {name: [] for name in made}
    for _ in range(ROUNDS):
        for name, pair in made.items():
            rounds[name].append(microseconds(pair))
    for name, times in rounds.items():
        added = statistics.median(t - base for t, base in zip(times, rounds["no hook"]))
        print(f"{name:14} {statistics.median(times):7.1f} us a step, added {added:5.1f} us")


if __name__ == "__main__":
    main()

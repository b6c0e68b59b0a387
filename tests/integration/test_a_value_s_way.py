"""How many files of the package a value passes on its way from a training to a frozen file.

A save is traced with `sys.setprofile`, in its own thread and in those that it starts. The way is
read off the call stacks, from the adapter's save down, at these moments:

- a function of the package returns or yields a value: a `Value`, an array, or a buffer;
- `frozen/` hands bytes to the sink.

Each file of the package on such a stack was entered for the value's way; there are at most ten.
What else a save does (locks, the directory's state, planning, the temporary file around the sink)
is on no such stack.

No file is entered twice: on each stack, the frames of one file follow each other. So no call goes
back up into a file that it has left for another one, with a callback for example. Generators are
left out of this, because the data flows through them: the frame that asks for the next value
resumes them in their file. A thread has a stack of its own.

`pytest -s` prints the ways.
"""

import inspect
import os
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf
from fitting import KERASES, TF1, classifier, fit, keras_of
from small import FEEDS, FREEZE, build

import freeze_hooks as fh
from freeze_hooks.storage.sink import Sink
from freeze_hooks.values.value import Value

v1 = tf.compat.v1
MOST = 10
PACKAGE = os.path.join(os.path.dirname(fh.__file__), "")
BEFORE = ("_saver.py",)  # what TensorFlow's Saver has in front of an adapter


def is_value(frame, returned):
    """Whether a frame of the package hands a value on, or a piece of it."""
    if isinstance(returned, bytes):  # of a header, elsewhere
        return frame.f_code.co_filename.startswith(os.path.join(PACKAGE, "values"))
    is_whole = isinstance(returned, (Value, np.ndarray, memoryview))
    return is_whole and frame.f_code.co_filename.startswith(PACKAGE)


def flows(frame):
    """Whether a frame is a generator's."""
    return bool(frame.f_code.co_flags & inspect.CO_GENERATOR)


def stack_of(frame):
    """The package's (file, whether the frame is a generator's) on a stack, from the top down."""
    found = []
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(PACKAGE) and not path.endswith(BEFORE):
            found.append((path[len(PACKAGE) :].replace(os.sep, "/"), flows(frame)))
        frame = frame.f_back
    return tuple(reversed(found))


class Way:
    """The stacks on which values were handed on, in a `with` block."""

    def __init__(self):
        self.stacks = {}  # of (file, whether it is a generator), each once, in order
        self.bytes = 0

    def __enter__(self):
        threading.setprofile(self._look)
        sys.setprofile(self._look)
        return self

    def __exit__(self, *error):
        sys.setprofile(None)
        threading.setprofile(None)

    def _look(self, frame, event, argument):
        if event == "call" and frame.f_code is Sink.write.__code__:
            stack = stack_of(frame)
            if stack[-2][0].startswith("frozen/"):
                self.bytes += memoryview(frame.f_locals["data"]).nbytes
                self.stacks[stack] = None
        elif event == "return" and is_value(frame, argument):
            stack = stack_of(frame)
            if not any(file.startswith("plan/") for file, _ in stack):
                self.stacks[stack] = None

    def files(self):
        """The files in the order in which they were entered."""
        return list(dict.fromkeys(file for stack in self.stacks for file, _ in stack))

    def twice(self):
        """(file, stack) where a call came back into a file that it had left."""
        found = []
        for stack in self.stacks:
            last, left = None, set()
            for file, is_generator in stack:
                if file != last:
                    if file in left and not is_generator:
                        found.append((file, [name for name, _ in stack]))
                    left.add(last)
                    last = file
        return found

    def check(self, name, path):
        assert os.path.getsize(str(path)) == self.bytes
        files = self.files()
        print(f"\n{name}: {len(files)} files\n  " + "\n  ".join(files))
        assert not self.twice()
        assert len(files) <= MOST


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("values", ["live", "checkpoint"])
def test_from_a_hook_s_session(graph, tmp_path, background, values):
    train_op = build()
    hook = fh.FreezeHook(save_on_background=background, values=values, strict=True, **FREEZE)
    hook.begin()
    saver = v1.train.Saver()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        session.run(train_op, FEEDS)
        with Way() as way:
            saver.save(session, str(tmp_path / "model.ckpt"))
        hook.end(session)
    how = "in the background" if background else "at once"
    way.check(f"FreezeHook, {values} values, {how}", tmp_path / "model.ckpt.pb")


def test_from_a_saver_s_session(graph, tmp_path):
    train_op = build()
    saver = fh.FreezingSaver(strict=True, **FREEZE)
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        session.run(train_op, FEEDS)
        with Way() as way:
            saver.save(session, str(tmp_path / "model.ckpt"))
    way.check("FreezingSaver", tmp_path / "model.ckpt.pb")


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("name", KERASES)
def test_from_a_keras_model(tmp_path, name, background):
    keras = keras_of(name)
    callback = fh.FreezeCallback(
        str(tmp_path / "model.pb"), save_on_background=background, strict=True
    )

    class Traced(keras.callbacks.Callback):
        """Runs the other one, so that only its save is traced."""

        def on_epoch_end(self, epoch, logs=None):
            with way:
                callback.on_epoch_end(epoch, logs)
            callback.artifacts  # noqa: B018  waits

    way, model = Way(), classifier(keras)
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    fit(model, callbacks=[Traced()], epochs=1)
    callback.on_train_end()
    how = "in the background" if background else "at once"
    way.check(f"FreezeCallback of {name}, {how}", tmp_path / "model.pb")


def test_from_a_session_at_hand(graph, tmp_path):
    build()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        with Way() as way:
            fh.freeze_session(session, str(tmp_path / "model.pb"), **FREEZE)
    way.check("freeze_session", tmp_path / "model.pb")


def test_from_a_checkpoint(graph, tmp_path):
    build()
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    with Way() as way:
        fh.freeze_checkpoint(prefix, str(tmp_path / "model.pb"), **FREEZE)
    way.check("freeze_checkpoint", tmp_path / "model.pb")


@pytest.mark.skipif(TF1, reason="functions are traced eagerly")
def test_from_a_function(tmp_path):
    weights = tf.Variable(tf.ones([8, 4]), name="w")
    signature = [tf.TensorSpec([None, 8], tf.float32, "x")]
    plan = fh.plan_function(lambda x: tf.matmul(x, weights), input_signature=signature)
    with Way() as way:
        plan.write(str(tmp_path / "model.pb"))
    way.check("plan_function, write", tmp_path / "model.pb")

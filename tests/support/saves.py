"""Many saves by each adapter, with something done before each."""

import os

import tensorflow as tf
from fitting import KERASES, classifier, fit, keras_of
from small import FEEDS, FREEZE, build

import freeze_hooks as fh

v1 = tf.compat.v1
BLOCK = 4096  # bytes of a file system in memory


def contents(directory):
    """{path of a file under the directory: its bytes}."""
    files = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def leave(directory, blocks):
    """Fill a file system with a file of another program until only `blocks` blocks are free."""
    other = directory / "other"
    if other.exists():
        other.unlink()
    left = os.statvfs(str(directory))
    other.write_bytes(b"x" * max(0, left.f_bavail * left.f_frsize - blocks * BLOCK))


def saves(adapter, directory, act, count=6, form="pb", name="{epoch}.pb"):
    """Make so many saves, of which the newest stays, and call act(i) before save i.

    `form` is format=; `name` is the file that callbacks write.
    """
    if adapter.startswith("hook"):
        more = {"save_on_background": adapter == "hook in background", "format": form}
        with tf.Graph().as_default():
            train_op = build()
            hook = fh.FreezeHook(output_dir=str(directory), save_steps=1, keep=1, **more, **FREEZE)
            with v1.train.SingularMonitoredSession(hooks=[hook]) as session:
                for i in range(count):
                    hook.artifacts  # noqa: B018  waits, so that each save meets what was acted
                    act(i)
                    session.run(train_op, FEEDS)
        return hook.artifacts

    keras = keras_of(KERASES[0])
    callback = fh.FreezeCallback(
        str(directory / name),
        max_to_keep=1 if "{" in name else None,
        save_on_background=adapter == "background",
        format=form,
    )

    class Act(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            callback.artifacts  # noqa: B018  waits, so that each save meets what was acted
            act(epoch)

    fit(classifier(keras), callbacks=[Act(), callback], epochs=count)
    return callback.artifacts

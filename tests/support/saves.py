"""Many saves by each adapter, with something done before each."""

import tensorflow as tf
from fitting import KERASES, classifier, fit, keras_of
from small import FEEDS, FREEZE, build

import freeze_hooks as fh

v1 = tf.compat.v1


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def saves(adapter, directory, act, count=6):
    """Make so many saves, of which the newest stays, and call act(i) before save i."""
    if adapter.startswith("hook"):
        more = {"save_on_background": adapter == "hook in background"}
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
        str(directory / "{epoch}.pb"), max_to_keep=1, save_on_background=adapter == "background"
    )

    class Act(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            callback.artifacts  # noqa: B018  waits, so that each save meets what was acted
            act(epoch)

    fit(classifier(keras), callbacks=[Act(), callback], epochs=count)
    return callback.artifacts

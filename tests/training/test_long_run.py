"""Nothing grows over many saves in one process.

benchmarks/long_run.py makes more saves, and shows memory.
"""

import psutil
import tensorflow as tf
from fitting import KERASES, classifier, fit, keras_of
from small import FEEDS, FREEZE, build

import freeze_hooks as fh

v1 = tf.compat.v1


def open_things():
    process = psutil.Process()
    return process.num_threads(), len(process.open_files())


def assert_not_more(after, before):
    """Threads and files of earlier tests may end; TensorFlow may start threads at any time."""
    assert after[0] <= before[0] + 4 and after[1] <= before[1]


def test_hook(graph, tmp_path):
    train = build()
    hook = fh.FreezeHook(output_dir=str(tmp_path), save_steps=1, strict=True, **FREEZE)
    seen = []
    with v1.train.SingularMonitoredSession(hooks=[hook]) as session:
        for i in range(120):
            session.run(train, FEEDS)
            if i in (19, 119):
                seen.append((len(graph.get_operations()), open_things()))
    (nodes, before), (still, after) = seen
    assert len(hook.artifacts) == 5 and nodes == still
    assert_not_more(after, before)


def test_callback(tmp_path):
    keras, seen = keras_of(KERASES[0]), []

    class Count(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch in (19, 59):
                seen.append((len(callback.artifacts), open_things()))  # artifacts waits for writes

    callback = fh.FreezeCallback(str(tmp_path / "{epoch}.pb"), max_to_keep=3, strict=True)
    fit(classifier(keras), callbacks=[callback, Count()], batches=1, epochs=60)
    (kept, before), (still, after) = seen
    assert kept == still == 3
    assert_not_more(after, before)

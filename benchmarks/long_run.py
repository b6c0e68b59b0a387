"""Shows whether anything grows over 2,000 saves in one process: benchmarks/long_run.py [SAVES]

A hook writes at each step of a training session, and a callback writes in the background at each
epoch of `fit`. Prints memory, threads, open files and graph nodes after each quarter of the saves.
"""

import os
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [ROOT, os.path.join(ROOT, "tests", "support")]

import psutil  # noqa: E402
import tensorflow as tf  # noqa: E402
from fitting import KERASES, classifier, fit, keras_of  # noqa: E402
from small import FEEDS, FREEZE, build  # noqa: E402

import freeze_hooks as fh  # noqa: E402

v1 = tf.compat.v1


def census(nodes):
    """Return (resident MB, threads, open files, nodes) of this process."""
    process = psutil.Process()
    return process.memory_info().rss / 1e6, process.num_threads(), process.num_fds(), nodes


def hook(saves, directory):
    found = []
    with tf.Graph().as_default() as graph:
        train = build()
        freeze = fh.FreezeHook(output_dir=directory, save_steps=1, strict=True, **FREEZE)
        with v1.train.SingularMonitoredSession(hooks=[freeze]) as session:
            for i in range(1, saves + 1):
                session.run(train, FEEDS)
                if i % (saves // 4) == 0:
                    found.append(census(len(graph.get_operations())))
    return found


def callback(saves, directory):
    keras, found = keras_of(KERASES[0]), []

    class Count(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if (epoch + 1) % (saves // 4) == 0:
                freeze.artifacts  # waits for the current write  # noqa: B018
                found.append(census(0))

    path = os.path.join(directory, "{epoch}.pb")
    freeze = fh.FreezeCallback(path, max_to_keep=3, strict=True)
    fit(classifier(keras), callbacks=[freeze, Count()], batches=1, epochs=saves)
    return found


def main():
    saves = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(f"{'':10}{'saves':>6}{'MB':>9}{'threads':>9}{'files':>7}{'nodes':>7}")
    for run in (hook, callback):
        with tempfile.TemporaryDirectory() as directory:
            for quarter, (memory, threads, files, nodes) in enumerate(run(saves, directory), 1):
                count = saves // 4 * quarter
                print(f"{run.__name__:10}{count:6}{memory:9.1f}{threads:9}{files:7}{nodes:7}")


if __name__ == "__main__":
    main()

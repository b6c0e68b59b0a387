"""One task of a cluster that trains a classifier of digits by an embedding over all servers.

    python cluster.py '{"dir": ..., "job": "ps" or "worker", "task": 0, "ps": [ADDRESSES],
                        "worker": [ADDRESSES], "last_step": 40, ...}'

Each worker says that it has "started", and at its end writes what it froze to "report".
"""

import json
import sys
import time

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

import freeze_hooks as fh

v1 = tf.compat.v1
given = json.loads(sys.argv[1])
cluster = tf.train.ClusterSpec({"ps": given["ps"], "worker": given["worker"]})
task, chief = given["task"], given["task"] == 0
ROWS = given.get("rows", 1000)  # of 64 floats each
SAVE_STEPS = given.get("save_steps", 10)


def words():
    """Each pixel's place and shade as one word's number, spread over the embedding's rows."""
    digits, labels = load_digits(return_X_y=True)
    numbers = np.arange(64) * 17 + digits.astype(np.int64)
    return numbers * 7919 % ROWS, labels


def build():
    setter = v1.train.replica_device_setter(
        cluster=cluster, worker_device=f"/job:worker/task:{task}"
    )
    with v1.device(setter):
        step = v1.train.get_or_create_global_step()
        ids = v1.placeholder(tf.int64, [None, 64], "words")
        labels = v1.placeholder(tf.int64, [None], "labels")
        with v1.variable_scope("net", use_resource=given.get("resource", False)):
            table = v1.get_variable(
                "embedding",
                [ROWS, 64],
                initializer=v1.random_normal_initializer(stddev=0.1, seed=3),
                partitioner=v1.fixed_size_partitioner(len(given["ps"])),
            )
            pooled = tf.reduce_mean(tf.nn.embedding_lookup(table, ids), 1)
            kernel = v1.get_variable("kernel", [64, 10])
            bias = v1.get_variable("bias", [10], initializer=v1.zeros_initializer())
        logits = tf.matmul(pooled, kernel) + bias
        tf.nn.softmax(logits, name="probs")
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
        optimizer = v1.train.GradientDescentOptimizer(0.5)
        hooks = [v1.train.StopAtStepHook(last_step=given["last_step"])]
        if given.get("sync"):
            optimizer = v1.train.SyncReplicasOptimizer(optimizer, len(given["worker"]))
        train = optimizer.minimize(loss, global_step=step)
        if given.get("sync"):
            hooks.append(optimizer.make_session_run_hook(chief, num_tokens=0))
    return train, loss, hooks, {"words": ids, "labels": labels}


class Times(v1.train.CheckpointSaverListener):
    """How long it took to save each checkpoint, and to freeze it."""

    def __init__(self):
        self.seconds = []

    def before_save(self, session, global_step_value):
        self.start = time.perf_counter()

    def after_save(self, session, global_step_value):
        self.seconds.append(time.perf_counter() - self.start)


def main():
    server = tf.distribute.Server(cluster, job_name=given["job"], task_index=task, protocol="grpc")
    if given["job"] == "ps":
        server.join()
    x, y = words()
    train, loss, hooks, feeds = build()

    def evaluate(session, step):
        return {"loss": session.run(loss, {feeds["words"]: x[:100], feeds["labels"]: y[:100]})}

    common = {"outputs": ["probs"], "is_chief": chief}
    frozen = [fh.FreezeHook(values=given.get("values", "auto"), strict=True, **common)]
    if given.get("live"):
        frozen.append(fh.FreezeHook(values="live", name="live", strict=True, **common))
    if given.get("best"):
        frozen.append(
            fh.FreezeHook(
                name="best", save_best_only=True, evaluate=evaluate, monitor="loss", **common
            )
        )
    saver = v1.train.Saver(sharded=True, max_to_keep=given.get("max_to_keep", 5))
    scaffold = v1.train.Scaffold(saver=saver)
    config = v1.ConfigProto(device_filters=["/job:ps", f"/job:worker/task:{task}"])
    rng, times = np.random.RandomState(task), Times()
    saving = {"scaffold": scaffold, "listeners": [times]}
    with v1.train.MonitoredTrainingSession(
        master=server.target,
        is_chief=chief,
        checkpoint_dir=given["dir"],
        save_checkpoint_steps=None,
        save_checkpoint_secs=None,
        chief_only_hooks=[v1.train.CheckpointSaverHook(given["dir"], None, SAVE_STEPS, **saving)],
        save_summaries_steps=None,
        log_step_count_steps=None,
        scaffold=scaffold,
        hooks=hooks + frozen,
        config=config,
        stop_grace_period_secs=5,  # SyncReplicasOptimizer's thread waits for gradients to the end
    ) as session:
        print("started", flush=True)
        while not session.should_stop():
            batch = rng.randint(0, len(x), 32)
            session.run(train, {feeds["words"]: x[batch], feeds["labels"]: y[batch]})
            time.sleep(given.get("pause", 0))
    report = [[a.path, a.step, a.bytes, a.seconds] for hook in frozen for a in hook.artifacts]
    with open(given["report"], "w") as file:
        json.dump({"files": report, "saves": times.seconds}, file)


with tf.Graph().as_default():
    main()

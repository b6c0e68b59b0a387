"""Parameter servers and workers, each a process of its own, on TensorFlow's runtime (loopback)."""

import json
import os
import shutil
import socket
import time

import numpy as np
import pytest
import tensorflow as tf
from fitting import DIGITS, KERASES, TF1
from frozen_files import constants
from places import PROGRAMS, PYTHONPATH
from small import frozen_steps, saved_steps
from started import Started

import freeze_hooks as fh

v1 = tf.compat.v1
ENV = dict(os.environ, PYTHONPATH=PYTHONPATH)
PATIENCE = 400  # seconds; a loaded machine takes minutes to start TensorFlow again
LARGE = 200_000  # rows of 256 bytes: each server has more than three chunks of 8 MiB


def free_addresses(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return addresses


class Cluster:
    """Two servers and two workers; `given` is for cluster.py."""

    def __init__(self, directory, **given):
        self.run_dir, self._logs = str(directory / "run"), directory
        os.mkdir(self.run_dir)
        addresses = free_addresses(4)
        self._given = {"dir": self.run_dir, "ps": addresses[:2], "worker": addresses[2:], **given}
        self._processes = {}
        for job, task in (("ps", 0), ("ps", 1), ("worker", 0)):
            self.start(job, task)
        # a worker that finds no initialized variables looks again only 30 s later
        self.wait_for(lambda: "started" in self.tail("worker", 0))
        self.start("worker", 1)

    def start(self, job, task):
        """Start a task, again perhaps."""
        report = str(self._logs / f"worker{task}.json")
        given = dict(self._given, job=job, task=task, report=report)
        log, program = self.log(job, task), os.path.join(PROGRAMS, "cluster.py")
        self._processes[job, task] = Started([program, json.dumps(given)], log, log, None, ENV)

    def log(self, job, task):
        return str(self._logs / f"{job}{task}.log")

    def kill(self, job, task):
        self._processes.pop((job, task)).kill()

    def wait_for(self, found):
        """Wait until `found()` is true, and give what it said."""
        deadline = time.time() + PATIENCE
        while time.time() < deadline:
            value = found()
            if value:
                return value
            for (job, task), process in self._processes.items():
                assert process.poll() in (None, 0), self.tail(job, task)
            time.sleep(0.1)
        raise AssertionError("\n".join(self.tail(*key) for key in self._processes))

    def tail(self, job, task):
        with open(self.log(job, task), errors="replace") as log:
            return f"{job} {task}:\n" + log.read()[-3000:]

    def report(self, task):
        """What a worker froze, once it is done."""
        process = self._processes["worker", task]
        self.wait_for(lambda: process.poll() == 0)
        return json.loads((self._logs / f"worker{task}.json").read_text())["files"]

    def stop(self):
        for process in self._processes.values():
            process.kill()
        shutil.rmtree(self.run_dir)  # large


@pytest.fixture
def cluster(tmp_path):
    made = []

    def start(**given):
        made.append(Cluster(tmp_path, **given))
        return made[0]

    yield start
    for one in made:
        one.stop()


def assert_whole(run_dir, steps):
    """Each of these files has its checkpoint's values, bit for bit, and answers."""
    for step in steps:
        prefix = os.path.join(run_dir, f"model.ckpt-{step}")
        reader, found = v1.train.NewCheckpointReader(prefix), constants(prefix + ".pb")
        halves = [found[f"net/embedding/part_{i}"] for i in range(2)]
        assert np.concatenate(halves).tobytes() == reader.get_tensor("net/embedding").tobytes()
        for name in ("net/kernel", "net/bias"):
            assert found[name].tobytes() == reader.get_tensor(name).tobytes()


@pytest.mark.parametrize("sync, resource", [(False, True), (True, False)])
def test_the_chief_alone_writes(cluster, clean, resource, sync):
    running = cluster(last_step=30, sync=sync, resource=resource, rows=LARGE, live=True)
    both, others = running.report(0), running.report(1)
    written = [one for one in both if ".live." not in one[0]]
    live = [one for one in both if ".live." in one[0]]
    assert others == []
    steps = saved_steps(running.run_dir)
    assert [step for _, step, *_ in written] == steps == frozen_steps(running.run_dir)
    assert len(steps) >= 3
    assert_whole(running.run_dir, steps)
    assert {fh.load_frozen(path).metadata["values"] for path, *_ in written} == {"checkpoint"}
    assert len(live) == len(written)
    assert {fh.load_frozen(path).metadata["values"] for path, *_ in live} == {"live"}
    words = np.arange(64)[None] * 17 * 7919 % LARGE
    (probs,) = clean.run(written[-1][0], {"words:0": words}, ["probs:0"])
    assert probs.shape == (1, 10) and abs(probs.sum() - 1) < 1e-5


def best_of(run_dir):
    """(value, step) that best.pb says it has, and the value that the directory remembers."""
    with fh.load_frozen(os.path.join(run_dir, "best.best.pb")) as frozen:
        about = frozen.metadata
    with open(os.path.join(run_dir, "frozen_state.json")) as file:
        remembered = json.load(file)["best"]["best"]["loss"]
    return (about["metrics"]["loss"], about["step"]), remembered


def noted_best(run_dir):
    """The best value, if the file has been noted and no better one came while both were read."""
    (value, _), remembered = best_of(run_dir)
    return value if value == remembered else None


def has_step(running, at_least):
    return lambda: any(step >= at_least for step in frozen_steps(running.run_dir))


def test_tasks_that_are_killed_and_started_again(cluster):
    """Training goes on from the last checkpoint, and the files are those of it all."""
    running = cluster(last_step=600, save_steps=40, best=True, pause=0.03)
    running.wait_for(has_step(running, 80))
    first = running.wait_for(lambda: noted_best(running.run_dir))
    for task in (("worker", 0), ("ps", 0), ("ps", 1)):
        running.kill(*task)
        left = frozen_steps(running.run_dir)
        assert_whole(running.run_dir, left[-3:])  # the oldest may just be going
        running.start(*task)
        running.wait_for(has_step(running, max(left) + 40))
    written, others = running.report(0), running.report(1)
    assert others == [] and max(step for _, step, *_ in written) >= 600
    missing = set(saved_steps(running.run_dir)) - set(frozen_steps(running.run_dir))
    assert len(missing) <= 1  # where the chief was killed between a checkpoint and its file
    assert_whole(running.run_dir, frozen_steps(running.run_dir))
    (last, step), remembered = best_of(running.run_dir)
    assert last == remembered and last < first and step > max(left)


# Keras 3 hands PerReplica values to its layers under MultiWorkerMirroredStrategy, and fails.
KERAS_2 = KERASES[-1]
only_tf2 = pytest.mark.skipif(TF1, reason="TF 1.15 trains Keras's workers by its own Estimator")


def run_keras(directory, **cluster):
    """Run a task of workers.py for each address that `cluster` counts, until the first is done."""
    addresses = iter(free_addresses(sum(cluster.values())))
    spec = {job: [next(addresses) for _ in range(count)] for job, count in cluster.items()}
    tasks = [(job, task) for job, listed in spec.items() for task in range(len(listed))]
    running, program = [], os.path.join(PROGRAMS, "workers.py")
    for job, task in tasks:
        config = json.dumps({"cluster": spec, "task": {"type": job, "index": task}})
        log, command = str(directory / f"{job}{task}.log"), [program, KERAS_2, directory]
        running.append(Started(command, log, log, None, dict(ENV, TF_CONFIG=config)))
    workers = running if set(cluster) == {"worker"} else running[:1]
    try:
        codes = [process.wait(PATIENCE) for process in workers]
    finally:
        for process in running:
            process.kill()
    logs = [(directory / f"{job}{task}.log").read_text(errors="replace") for job, task in tasks]
    assert not any(codes), "\n".join(logs)
    return [json.loads(log.splitlines()[-1]) for log in logs[: len(workers)]]


def assert_weights(path, noted):
    """The file's constants are what model.get_weights() gave, bit for bit."""
    found = constants(path)
    with np.load(str(noted)) as weights:
        for name in weights.files:
            assert found[name].tobytes() == weights[name].tobytes(), name
        return len(weights.files)


@only_tf2
def test_keras_on_two_workers(tmp_path, clean):
    """The chief writes; the other worker takes part in reading what is reduced over both."""
    written, others = run_keras(tmp_path, worker=2)
    assert written == [10, 20, 30, 20, 28] and others == []
    assert not (tmp_path / "worker-1").exists()
    for epoch in (1, 2, 3):
        path = tmp_path / "worker-0" / f"{epoch}.pb"
        assert assert_weights(path, tmp_path / f"w-{epoch}-0.npz") == 8
        assert assert_weights(path, tmp_path / f"w-{epoch}-1.npz") == 8
    assert_weights(tmp_path / "worker-0" / "best.pb", tmp_path / "w-2-0.npz")
    (probs,) = clean.run(path, {"pixels:0": DIGITS[:50]}, ["probs:0"])
    assert probs.shape == (50, 10)


@only_tf2
def test_keras_on_parameter_servers(tmp_path, clean):
    """The chief coordinates, and reads shards that are on other processes."""
    (written,) = run_keras(tmp_path, chief=1, worker=2, ps=2)
    assert written == [10, 20, 30, 20]
    for epoch in (1, 2, 3):
        path = tmp_path / "chief-0" / f"{epoch}.pb"
        assert assert_weights(path, tmp_path / f"w-{epoch}-0.npz") == 16  # two shards each
    (probs,) = clean.run(path, {"pixels:0": DIGITS[:50]}, ["probs:0"])
    assert probs.shape == (50, 10)

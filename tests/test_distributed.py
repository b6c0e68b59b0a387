"""Parameter servers and workers, each a process of its own, on TensorFlow's runtime (loopback)."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from conftest import constants
from small import frozen_steps, saved_steps

import freeze_hooks as fh

v1 = tf.compat.v1
HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "programs", "cluster.py")
PATIENCE = 180  # seconds
SMALL, LARGE = 1000, 820_000  # rows of an embedding with 256 bytes each: 256 kB, 210 MB


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
        with open(self.log(job, task), "ab") as log:
            self._processes[job, task] = subprocess.Popen(
                [sys.executable, PROGRAM, json.dumps(given)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(os.environ, PYTHONPATH=os.pathsep.join([os.path.dirname(HERE), HERE])),
            )

    def log(self, job, task):
        return str(self._logs / f"{job}{task}.log")

    def kill(self, job, task):
        process = self._processes.pop((job, task))
        process.send_signal(signal.SIGKILL)
        process.wait()

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
        return json.loads((self._logs / f"worker{task}.json").read_text())

    def stop(self):
        for process in self._processes.values():
            process.kill()
            process.wait()
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


@pytest.mark.parametrize("sync, resource, rows", [(False, True, LARGE), (True, False, SMALL)])
def test_the_chief_alone_writes(cluster, clean, resource, sync, rows):
    running = cluster(last_step=30, sync=sync, resource=resource, rows=rows)
    written, others = running.report(0), running.report(1)
    assert others == []
    steps = saved_steps(running.run_dir)
    assert [step for _, step, *_ in written] == steps == frozen_steps(running.run_dir)
    assert len(steps) >= 3
    assert_whole(running.run_dir, steps)
    assert {fh.load_frozen(path).metadata["values"] for path, *_ in written} == {"checkpoint"}
    words = np.arange(64)[None] * 17 * 7919 % rows
    (probs,) = clean.run(written[-1][0], {"words:0": words}, ["probs:0"])
    assert probs.shape == (1, 10) and abs(probs.sum() - 1) < 1e-5


def best_of(run_dir):
    """(value, step) that best.pb says it has, and the value that the directory remembers."""
    with fh.load_frozen(os.path.join(run_dir, "best.best.pb")) as frozen:
        about = frozen.metadata
    with open(os.path.join(run_dir, "frozen_state.json")) as file:
        remembered = json.load(file)["best"]["best"]["loss"]
    return (about["metrics"]["loss"], about["step"]), remembered


def has_step(running, at_least):
    return lambda: any(step >= at_least for step in frozen_steps(running.run_dir))


def test_tasks_that_are_killed_and_started_again(cluster):
    """Training goes on from the last checkpoint, and the files are those of it all."""
    running = cluster(last_step=600, save_steps=40, best=True, pause=0.03)
    running.wait_for(has_step(running, 80))
    (first, _), remembered = best_of(running.run_dir)
    assert first == remembered
    for task in (("worker", 0), ("ps", 0), ("ps", 1)):
        running.kill(*task)
        left = frozen_steps(running.run_dir)
        assert_whole(running.run_dir, left)
        running.start(*task)
        running.wait_for(has_step(running, max(left) + 40))
    written, others = running.report(0), running.report(1)
    assert others == [] and max(step for _, step, *_ in written) >= 600
    missing = set(saved_steps(running.run_dir)) - set(frozen_steps(running.run_dir))
    assert len(missing) <= 1  # where the chief was killed between a checkpoint and its file
    assert_whole(running.run_dir, frozen_steps(running.run_dir))
    (last, step), remembered = best_of(running.run_dir)
    assert last == remembered and last < first and step > max(left)

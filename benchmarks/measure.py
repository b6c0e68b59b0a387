"""One training session, and the ways to write its model: each returns its wall seconds."""

import ctypes
import functools
import gc
import glob
import os
import time

import tensorflow as tf

import freeze_hooks as fh

v1 = tf.compat.v1
MIB = 1 << 20
BLOCK = 8 * MIB
# Taken before a hook listens: what a Saver does without one.
PLAIN_SAVE = v1.train.Saver.save


class TimedHook(fh.FreezeHook):
    """A FreezeHook that notes how long its preparations take and what memory they keep."""

    setup_seconds = 0.0
    setup_mib = 0.0

    def begin(self):
        """Timed."""
        self._timed(super().begin)

    def after_create_session(self, session, coord):
        """Timed."""
        self._timed(super().after_create_session, session, coord)

    def _timed(self, call, *args):
        before = memory("VmRSS")
        self.setup_seconds += timed(lambda: call(*args))
        self.setup_mib += memory("VmRSS") - before


class Session:
    """A trained model in a MonitoredTrainingSession with a FreezeHook; use as a context manager."""

    def __init__(self, model, directory):
        """`directory` receives every file that is written, each deleted after its measurement."""
        self.model = model
        self.path = os.path.join(directory, "model.ckpt")
        with model.graph.as_default():
            self.variables = v1.global_variables()
            self.step = v1.train.get_or_create_global_step()
            self.saver = v1.train.Saver(max_to_keep=0)
            # Any Saver starts the hook. One of the step alone starts it with the disk at rest.
            self.trigger = v1.train.Saver([self.step], max_to_keep=0)
        self.hook = TimedHook(model.outputs)
        self.size = sum(v.shape.num_elements() * v.dtype.base_dtype.size for v in self.variables)
        self.saves = 0

    def __enter__(self):
        """Opens the session and trains one step."""
        with self.model.graph.as_default():
            self.monitored = v1.train.MonitoredTrainingSession(
                scaffold=v1.train.Scaffold(saver=self.saver),
                hooks=[self.hook],
                save_summaries_steps=None,
                save_summaries_secs=None,
                log_step_count_steps=None,
            )
        self.monitored.run(self.model.train_op, self.model.feed)
        self.session = self.monitored.run_step_fn(lambda step_context: step_context.session)
        return self

    def __exit__(self, *error):
        """Closes the session."""
        self.monitored.close()
        self.clean()

    def clean(self):
        """Deletes what was written and waits until the disk is at rest."""
        for path in glob.glob(self.path + "*"):
            os.remove(path)
        gc.collect()
        os.sync()

    def freeze(self):
        """FreezeHook, with a checkpoint of a few bytes."""
        self._save(self.trigger.save, write_meta_graph=False)
        artifact = self.hook.artifacts[-1]
        self.size = os.path.getsize(artifact.path)
        return artifact.seconds

    def freeze_after_checkpoint(self):
        """FreezeHook within a Saver.save of all variables, whose pages still wait for the disk."""
        self._save(self.saver.save)
        return self.hook.artifacts[-1].seconds

    def raw_after_checkpoint(self):
        """The raw write, straight after a Saver.save of all variables."""
        self._plain_save()
        return self.raw()

    def saver_save(self):
        """Saver.save of all variables and the meta graph, on disk."""

        def save():
            prefix = self._plain_save()
            for path in glob.glob(prefix + ".*"):
                with open(path, "rb") as file:
                    os.fsync(file.fileno())
            assert not glob.glob(prefix + "*.pb")

        return timed(save)

    def converter(self):
        """convert_variables_to_constants, SerializeToString, write."""

        def convert():
            frozen = v1.graph_util.convert_variables_to_constants(
                self.session, self.model.graph.as_graph_def(), self.model.outputs
            )
            self._write([frozen.SerializeToString()])

        return timed(convert)

    def raw(self):
        """As many bytes as the frozen file has, in blocks of 8 MiB from one buffer."""
        pieces = blocks(self.size)
        return timed(lambda: self._write(pieces))

    def raw_at_once(self):
        """The same bytes in one write."""
        content = memoryview(os.urandom(BLOCK) * (self.size // BLOCK + 1))[: self.size]
        return timed(lambda: self._write([content]))

    def difference(self):
        """Largest difference between the frozen file's outputs and the session's."""
        self._save(self.trigger.save, write_meta_graph=False)
        graph_def = v1.GraphDef()
        with open(self.hook.artifacts[-1].path, "rb") as file:
            graph_def.ParseFromString(file.read())
        wanted = [name + ":0" for name in self.model.outputs]
        live = self.session.run(wanted, self.model.inputs)
        config = v1.ConfigProto()
        # TensorFlow's graph optimizer would copy all weights, for the embedding to over 18 GiB.
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        with tf.Graph().as_default():
            v1.import_graph_def(graph_def, name="")
            with v1.Session(config=config) as frozen:
                got = frozen.run(wanted, self.model.inputs)
        return max(float(abs(a - b).max()) for a, b in zip(got, live))

    def _plain_save(self):
        return self._save(functools.partial(PLAIN_SAVE, self.saver))

    def _save(self, save, **kwargs):
        self.saves += 1
        with self.model.graph.as_default():
            return save(self.session, self.path, global_step=self.saves, **kwargs)

    def _write(self, pieces):
        write(self.path + ".raw", pieces)


PEERS = {
    "freeze": Session.freeze,
    "freeze_after_checkpoint": Session.freeze_after_checkpoint,
    "saver": Session.saver_save,
    "converter": Session.converter,
    "raw": Session.raw,
    "raw_after_checkpoint": Session.raw_after_checkpoint,
    "raw_at_once": Session.raw_at_once,
}


def blocks(size):
    """`size` bytes, in blocks of 8 MiB from one buffer."""
    block = memoryview(os.urandom(BLOCK))
    whole, rest = divmod(size, BLOCK)
    return [block] * whole + [block[:rest]]


def write(path, pieces):
    """Puts buffers on disk as they are."""
    with open(path, "wb", buffering=0) as file:
        for piece in pieces:
            view = memoryview(piece)
            while view:  # Linux writes at most 2 GiB in one call
                view = view[file.write(view) :]
        os.fsync(file.fileno())


def timed(call):
    """Wall seconds of `call()`."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def memory(field):
    """VmRSS or VmHWM of this process, MiB."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024.0
    raise KeyError(field)


def peak(call):
    """How far `call()` takes resident memory above where it stood, MiB."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the high-water mark starts again at the present value
    before = memory("VmRSS")
    call()
    return memory("VmHWM") - before

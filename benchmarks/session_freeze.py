"""The part `session`: a frozen file with every checkpoint of a MonitoredTrainingSession, against
TensorFlow's converter, Saver.save and a raw write of the same bytes.

Every model runs in separate processes: one for the times, in which the peers take turns, and one
for the memory of each peer, because memory that one peer leaves would hide the memory of the next.
"""

import contextlib
import functools
import glob
import os

import models
import tensorflow as tf
from measure import MIB, Folder, memory, peak, take_turns, timed, write

import freeze_hooks as fh

v1 = tf.compat.v1
# Models measured also directly after a checkpoint, while its pages still wait for the disk.
AFTER_CHECKPOINT = ["vgg16"]
# Read before any hook patches it: the save of a Saver without a hook.
PLAIN_SAVE = v1.train.Saver.save


class Hook(fh.FreezeHook):
    """A FreezeHook that works only when `on`, and records how long training waits for it."""

    on = False
    watch = staticmethod(contextlib.nullcontext)  # the context in which a save runs
    begin_seconds = begin_mib = save_seconds = 0.0

    def begin(self):
        """Time `begin`, and measure the memory that it takes."""
        before = memory("VmRSS")
        self.begin_seconds = timed(super().begin)
        self.begin_mib = memory("VmRSS") - before

    def after_save(self, *args):
        """Time `after_save`."""
        if self.on:
            with self.watch():
                self.save_seconds = timed(functools.partial(super().after_save, *args))


class Session:
    """A trained model in a MonitoredTrainingSession with hooks; use as a context manager."""

    def __init__(self, model, directory, more=None):
        """Make the hooks. Files are written to `directory`, and deleted after their measurement.
        `more` has the arguments of further hooks, by name."""
        self.model = model
        self.folder = Folder(directory)
        self.path = self.folder.file("model.ckpt")
        with model.graph.as_default():
            step = v1.train.get_or_create_global_step()
            self.saver = v1.train.Saver(max_to_keep=0)
            # Any Saver starts the hook. A Saver of only the step starts it with an idle disk.
            self.trigger = v1.train.Saver([step], max_to_keep=0)
        self.variables = saved_variables(model)
        self.size = sum(map(nbytes, self.variables))
        self.hook = Hook(model.outputs, strict=True)
        more = {"background": {"save_on_background": True}, **(more or {})}
        self.more = {
            n: Hook(model.outputs, strict=True, name=n, **given) for n, given in more.items()
        }
        self.hooks = [self.hook, *self.more.values()]
        self.saves = 0

    def __enter__(self):
        """Open the session and train one step."""
        with self.model.graph.as_default():
            self.values = [variable.read_value() for variable in self.variables]
            self.monitored = v1.train.MonitoredTrainingSession(
                scaffold=v1.train.Scaffold(saver=self.saver),
                hooks=self.hooks,
                save_summaries_steps=None,
                save_summaries_secs=None,
                log_step_count_steps=None,
            )
        self.monitored.run(self.model.train_op, self.model.feed)
        self.session = self.monitored.run_step_fn(lambda step_context: step_context.session)
        return self

    def __exit__(self, *error):
        """Close the session."""
        self.monitored.close()
        self.folder.__exit__()

    def peers(self, after_checkpoint=False):
        """Return {name: function that writes the model (or fetches it) and returns its seconds}."""
        calls = {
            "freeze": self.freeze,
            "saver": self.saver_save,
            "converter": self.converter,
            "raw": lambda: self.folder.raw(self.size),
            "fetch": self.fetch,
            "stall": self.stall,
        }
        if after_checkpoint:
            calls["freeze_after_checkpoint"] = lambda: self.freeze(self.saver)
            calls["raw_after_checkpoint"] = self.raw_after_checkpoint
        return calls

    def freeze(self, saver=None):
        """Return the time that FreezeHook adds to a save of only the step, or of `saver`."""
        seconds = self.freeze_by(self.hook, saver)
        self.size = os.path.getsize(self.hook.artifacts[-1].path)
        return seconds

    def stall(self):
        """Return the time that training waits for a FreezeHook that writes in the background."""
        seconds = self.freeze_by(self.more["background"])
        assert self.more["background"].artifacts  # waits
        return seconds

    def freeze_by(self, hook, saver=None):
        """Return the time that training waits for one of the hooks."""
        self._save((saver or self.trigger).save, hook)
        return hook.save_seconds

    def fetch(self):
        """Fetch the file's variables with one session.run: the minimum of a stall."""
        return timed(lambda: self.session.run(self.values))

    def raw_after_checkpoint(self):
        """Do the raw write directly after a Saver.save of all variables."""
        self._plain_save()
        return self.folder.raw(self.size)

    def saver_save(self):
        """Save all variables and the meta graph with Saver.save, and sync the files to disk."""

        def save():
            self._plain_save()
            self.folder.sync()

        seconds = timed(save)
        assert not glob.glob(self.path + "*.pb")
        return seconds

    def converter(self):
        """convert_variables_to_constants, SerializeToString, write."""

        def convert():
            frozen = v1.graph_util.convert_variables_to_constants(
                self.session, self.model.graph.as_graph_def(), self.model.outputs
            )
            write(self.folder.file("converted.pb"), [frozen.SerializeToString()])

        return timed(convert)

    def difference(self):
        """Return the largest difference between the frozen file's outputs and the session's."""
        self.freeze()
        graph_def = v1.GraphDef()
        with open(self.hook.artifacts[-1].path, "rb") as file:
            graph_def.ParseFromString(file.read())
        wanted = [name + ":0" for name in self.model.outputs]
        live = self.session.run(wanted, self.model.inputs)
        config = v1.ConfigProto()
        # TensorFlow's graph optimizer would copy all weights: over 18 GiB for the embedding.
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        with tf.Graph().as_default():
            v1.import_graph_def(graph_def, name="")
            with v1.Session(config=config) as frozen:
                got = frozen.run(wanted, self.model.inputs)
        return max(float(abs(a - b).max()) for a, b in zip(got, live))

    def _plain_save(self):
        return self._save(functools.partial(PLAIN_SAVE, self.saver))

    def _save(self, save, hook=None):
        self.saves += 1
        if hook is not None:
            hook.on = True
        try:
            with self.model.graph.as_default():
                return save(
                    self.session,
                    self.path,
                    global_step=self.saves,
                    write_meta_graph=hook is None or save.__self__ is self.saver,
                )
        finally:
            if hook is not None:
                hook.on = False


def nbytes(variable):
    """Return a variable's size in bytes."""
    return variable.shape.num_elements() * variable.dtype.base_dtype.size


def pruned(model):
    """Return the nodes that the outputs need, with TensorFlow's own functions."""
    return v1.graph_util.extract_sub_graph(model.graph.as_graph_def(), model.outputs).node


def saved_variables(model):
    """Return the variables of the file, without the step and the optimizer's slots."""
    names = {node.name for node in pruned(model)}
    found = model.graph.get_collection(v1.GraphKeys.GLOBAL_VARIABLES)
    return [variable for variable in found if variable.op.name in names]


def times(name, rounds, directory, only=()):
    """In a child process: return the seconds of all peers (or of `only`) for one model."""
    v1.logging.set_verbosity(v1.logging.ERROR)
    model = models.build(name)
    kept = []
    prune_seconds = timed(lambda: kept.append(len(pruned(model))))
    with Session(model, directory) as session:
        sizes = [nbytes(variable) for variable in session.variables]
        calls = session.peers(name in AFTER_CHECKPOINT)
        calls = {peer: call for peer, call in calls.items() if not only or peer in only}
        result = {
            "about": model.about,
            "nodes": len(model.graph.get_operations()),
            "saved_nodes": kept[0],
            "variables": len(sizes),
            "small_variables_mib": sum(size for size in sizes if size < MIB) / MIB,
            "plan_seconds": session.hook.begin_seconds,
            "plan_mib": session.hook.begin_mib,
            "prune_seconds": prune_seconds,
            "seconds": take_turns(calls, rounds, session.folder.clean),
            "file_mib": session.size / MIB,
        }
        session.folder.clean()
        return dict(result, difference=session.difference())


def memory_of(name, peer, directory):
    """In a child process: return the MiB above training of a peer's first and second call."""
    v1.logging.set_verbosity(v1.logging.ERROR)
    with Session(models.build(name), directory) as session:
        found = {}
        for turn in ("first", "later"):
            session.folder.clean()
            found[turn] = peak(session.peers()[peer])
        return found

"""Reads files in little memory, for tests whose files are hostile: `python reading.py MEGABYTES`.

Reads lines of JSON {"kind": a key of DOORS, "path"...}, and answers each with a line: {"outcome":
"read", "refused" (an error of ours, or OSError) or "wrong" (any other), "said", "peak": MB}.
"""

import json
import os
import sys
import traceback

import numpy as np
import tensorflow as tf
from click.testing import CliRunner
from google.protobuf import message

import freeze_hooks as fh
from freeze_hooks import freeze_graph, graph_util
from freeze_hooks.cli.group import commands
from freeze_hooks.storage import retention
from freeze_hooks.training.best import Best, load_best, save_best

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None

v1 = tf.compat.v1
CARRIED = b"a\nb\n"  # the only asset of the files that are damaged


def inspected(path, **more):
    fh.inspect(path)


def loaded(path, **more):
    fh.load_frozen(path).close()


def carried(path, **more):
    """Assets come back as they were written, or not at all."""
    with fh.load_frozen(path) as model:
        assert set(model.assets.values()) <= {CARRIED}, model.assets


def with_checkpoint(path, prefix, out, **more):
    """A graph: GraphDef or MetaGraphDef, binary or text."""
    fh.freeze_checkpoint(prefix, out, ["probs"], graph=path)


def by_the_drop_in(path, prefix, out, **more):
    freeze_graph.freeze_graph(path, None, False, prefix, "probs", None, None, out, True, "")


def converted(path, **more):
    """What else has a GraphDef of someone's: it is not read by us, but parsed by the caller."""
    with open(path, "rb") as file:
        try:
            graph_def = v1.GraphDef.FromString(file.read())
        except message.DecodeError:
            return
    with tf.Graph().as_default(), v1.Session() as session:
        names = [node.name for node in graph_def.node[-1:]]
        graph_util.convert_variables_to_constants(session, graph_def, names)


def checkpoint(path, meta, out, **more):
    fh.freeze_checkpoint(path, out, ["probs"], graph=meta)


def saved_model(path, out, **more):
    fh.freeze_saved_model(path, out)


def answered(path, given, expected, **more):
    """An artifact whose graph is sound: it may be run, and answers as it should."""
    with fh.load_frozen(path) as model:
        (found,) = model(given).values()
    np.testing.assert_array_equal(found, expected)


def frozen_again(path, out, **more):
    """A SavedModel whose graph is sound."""
    fh.freeze_saved_model(path, out)
    answered(out, **more)


def proved(path, out, given, expected, **more):
    """A SavedModel whose graph is sound: TensorFlow's own loader loads and runs it too."""
    fh.freeze_saved_model(path, out, verify=True)
    answered(out, given, expected)


def inspect_command(path, **more):
    _command("inspect", path, "--json")


def check_command(path, **more):
    _command("check", path)


def run_command(path, feeds, **more):
    _command("run", path, "--feeds", feeds)


def verify_command(path, sound, feeds, **more):
    _command("verify", path, "--against", sound, "--feeds", feeds)


def verify_against(path, sound, feeds, **more):
    _command("verify", sound, "--against", path, "--feeds", feeds)


def _command(*arguments):
    """Run a command in this process; its exit code 2 is a refusal, and so is verify's 1."""
    done = CliRunner().invoke(commands, list(arguments))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code:
        raise fh.FreezeError(f"exit code {done.exit_code}: {done.output}")


def state(path, **more):
    """`path` is a directory, with a frozen_state.json."""
    load_best(path, "best", "loss")
    retention.retain(path, "model", "new.pb", "model.ckpt-1", os.path.exists)
    save_best(path, "best", Best("loss", "min", 1.0))


DOORS = {
    door.__name__: door
    for door in (inspected, loaded, carried, with_checkpoint, by_the_drop_in, converted)
    + (checkpoint, saved_model, answered, frozen_again, proved, state)
    + (inspect_command, check_command, run_command, verify_command, verify_against)
}


def answer(kind, **task):
    try:
        DOORS[kind](**task)
    except (fh.FreezeError, OSError) as error:
        return "refused", f"{type(error).__name__}: {error}"
    except BaseException:
        return "wrong", traceback.format_exc()
    return "read", ""


def limit(megabytes):
    """Let this process take so much more than it has now; where that can be limited."""
    if resource is None or not os.path.exists("/proc/self/statm"):
        return
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (megabytes << 20), size + (megabytes << 20)))


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10 if resource else 0


def main():
    answers, sys.stdout = sys.stdout, sys.stderr
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        session.run(tf.constant(1) + 1)  # whatever TensorFlow loads at its first step
    limit(int(sys.argv[1]))
    for line in sys.stdin:
        outcome, said = answer(**json.loads(line))
        answers.write(json.dumps({"outcome": outcome, "said": said[-3000:], "peak": peak()}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()

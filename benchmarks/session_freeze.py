"""What a frozen file with every checkpoint costs: against TensorFlow's converter, Saver.save and a
raw write of the same bytes.

    python benchmarks/session_freeze.py                           # all: results/, README.md
    python benchmarks/session_freeze.py --model vgg16 --rounds 3  # one model, printed

Every model runs in processes of its own: one for the times, in which the peers take turns in a
rotating order, and one for each peer's memory, since memory that one peer leaves behind would hide
what the next one takes.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import report  # after the log level, which TensorFlow reads once

MEMORY_PEERS = ["freeze", "saver", "converter", "raw"]


def run_times(session, rounds):
    """Seconds of each peer: the first call, and `rounds` later ones."""
    from measure import PEERS

    names = list(PEERS)
    seconds = {name: [] for name in names}
    for turn in range(rounds + 1):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            session.clean()
            seconds[name].append(PEERS[name](session))
    return {name: {"first": times[0], "later": times[1:]} for name, times in seconds.items()}


def run_memory(session, name):
    """MiB above training that one peer needs: for its first call and for a later one."""
    from measure import PEERS, peak

    mib = []
    for _ in range(2):
        session.clean()
        mib.append(peak(lambda: PEERS[name](session)))
    return {"first": mib[0], "later": mib[1]}


def run_model(args):
    """In a child process: one model, all peers' times or (--peer) one peer's memory."""
    import models
    import tensorflow as tf
    from measure import MIB, Session

    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    model = models.build(args.model)
    graph_def = model.graph.as_graph_def()
    saved = tf.compat.v1.graph_util.extract_sub_graph(graph_def, model.outputs).node
    names = {node.name for node in saved}
    sizes = [
        v.shape.num_elements() * v.dtype.base_dtype.size
        for v in model.graph.get_collection("variables")
        if v.op.name in names  # the step and the optimizer's slots are not in the file
    ]
    with Session(model, args.dir) as session:
        if args.check:
            return session.difference()
        if args.peer:
            return run_memory(session, args.peer)
        return {
            "about": model.about,
            "nodes": len(model.graph.get_operations()),
            "saved_nodes": len(saved),
            "variables": len(sizes),
            "variables_mib": sum(sizes) / MIB,
            "small_variables_mib": sum(size for size in sizes if size < MIB) / MIB,
            "load_before": os.getloadavg()[0],
            "seconds": run_times(session, args.rounds),
            "file_mib": session.size / MIB,
            "setup_seconds": session.hook.setup_seconds,
            "setup_mib": session.hook.setup_mib,
        }


def child(args, directory, *more):
    """Runs this file for one model in a process of its own and returns its numbers."""
    out = os.path.join(directory, "numbers.json")
    subprocess.check_call(
        [
            sys.executable,
            os.path.abspath(__file__),
            "--dir",
            directory,
            "--json",
            out,
            "--rounds",
            str(args.rounds),
        ]
        + list(more)
    )
    with open(out) as file:
        return json.load(file)


def run_all(args):
    """Every model: the times, then each peer's memory."""
    import models

    numbers = {"machine": report.machine(args.dir), "rounds": args.rounds, "models": {}}
    for name in [make.__name__ for make in models.MODELS]:
        print(f"{name} ...", flush=True)
        directory = tempfile.mkdtemp(dir=args.dir)
        try:
            result = child(args, directory, "--model", name)
            result["difference"] = child(args, directory, "--model", name, "--check")
            result["memory_mib"] = {
                peer: child(args, directory, "--model", name, "--peer", peer)
                for peer in MEMORY_PEERS
            }
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        numbers["models"][name] = result
    return numbers


def main():
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="only this one")
    parser.add_argument("--peer", help="with --model: only the memory of this peer")
    parser.add_argument(
        "--check", action="store_true", help="with --model: only compare the file's outputs"
    )
    parser.add_argument("--rounds", type=int, default=7, help="later saves of each peer")
    parser.add_argument(
        "--dir", default=".", help="where files are written: name a folder on the disk to measure"
    )
    parser.add_argument("--json", help="write the numbers here, not to results/")
    args = parser.parse_args()
    if args.model:
        args.dir = tempfile.mkdtemp(dir=args.dir)
        try:
            numbers = run_model(args)
        finally:
            shutil.rmtree(args.dir, ignore_errors=True)
    else:
        numbers = run_all(args)
        if not args.json:
            report.publish(numbers)
        print(report.table(numbers))
        print(report.targets(numbers))
    if args.json:
        with open(args.json, "w") as file:
            json.dump(numbers, file, indent=1, sort_keys=True)
    elif args.model:
        print(json.dumps(numbers, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()

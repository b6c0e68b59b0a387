"""Freezes every Keras model of tests/support/keras_zoo.py: time, size and difference.

    python benchmarks/keras_zoo.py                    # all: results/keras_zoo.json and .md
    python benchmarks/keras_zoo.py --only mobilenet   # prints one model
    python benchmarks/keras_zoo.py --keras tf_keras   # prints, for another Keras

Each model runs in a separate process, and its file in a further one without freeze_hooks.
"""

import argparse
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "support"))
COLUMNS = (
    ("model", "model"),
    ("variables", "variables"),
    ("mib", "MiB"),
    ("nodes", "nodes"),
    ("plan_seconds", "plan, s"),
    ("write_seconds", "write, s"),
    ("difference", "difference"),
    ("unoptimized", "the same, unoptimized"),
    ("inputs", "inputs"),
    ("outputs", "outputs"),
    ("findings", "findings"),
)
TOLERANCE = 1e-5  # relative to an output's scale


def run(keras, name):
    """Measure one model, and return its row."""
    import keras_zoo
    from clean import CleanProcess

    import freeze_hooks as fh

    case = keras_zoo.build(keras, name)
    directory = pathlib.Path(tempfile.mkdtemp())
    path = directory / "model.pb"
    start = time.perf_counter()
    plan = fh.plan_keras_model(case.model, input_signature=case.signature)
    planned = time.perf_counter()
    plan.write(str(path))
    written = time.perf_counter()
    row = {
        "model": name,
        "variables": len(plan.plan.slots),
        "mib": round(path.stat().st_size / 2**20, 2),
        "nodes": sum(plan.plan.ops.values()),
        "plan_seconds": round(planned - start, 2),
        "write_seconds": round(written - planned, 3),
        "inputs": [info.name for info in plan.signature.inputs],
        "outputs": [info.name for info in plan.signature.outputs],
        "findings": sorted({finding.kind for finding in plan.findings}),
    }
    wanted = keras_zoo.answers(case)
    tensors = [info.tensor for info in plan.signature.outputs]
    process = CleanProcess(directory)
    for key, optimize in (("difference", True), ("unoptimized", False)):
        got = process.run(path, keras_zoo.feeds(case, plan.signature), tensors, optimize)
        row[key] = keras_zoo.difference(got, wanted)
    process.close()
    row["spread"] = keras_zoo.spread(wanted)
    return row


def child(args, name):
    """Measure one model in a separate process, and return its row."""
    command = [sys.executable, __file__, "--keras", args.keras, "--only", name, "--json"]
    done = subprocess.run(command, capture_output=True)
    lines = done.stdout.decode().strip().splitlines()
    if done.returncode:
        return {"model": name, "error": done.stderr.decode().strip().splitlines()[-1]}
    return json.loads(lines[-1])


def cells(row):
    """Return a row of the table as Markdown."""
    if "error" in row:
        return f"| {row['model']} | {row['error']} |" + " |" * (len(COLUMNS) - 2)
    texts = []
    for key, _ in COLUMNS:
        value = row.get(key, "")
        if key in ("difference", "unoptimized"):
            value = f"{value:.1e}" + (" **over**" if value > TOLERANCE else "")
        texts.append(", ".join(value) if isinstance(value, list) else str(value))
    return "| " + " | ".join(texts) + " |"


def table(rows):
    """Return all rows as a Markdown table."""
    head = "| " + " | ".join(title for _, title in COLUMNS) + " |"
    return "\n".join([head, "|---" * len(COLUMNS) + "|"] + [cells(row) for row in rows])


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keras", default="keras", help="keras, tf_keras or tensorflow.keras")
    parser.add_argument("--only", help="the name of one model")
    parser.add_argument("--json", action="store_true", help="with --only: print JSON")
    args = parser.parse_args()
    import tensorflow as tf

    tf.compat.v1.logging.set_verbosity("ERROR")
    keras = tf.keras if args.keras == "tensorflow.keras" else importlib.import_module(args.keras)
    if args.only:
        row = run(keras, args.only)
        print(json.dumps(row) if args.json else table([row]))
        return
    import keras_zoo

    rows = []
    for name in keras_zoo.names(keras):
        rows.append(child(args, name))
        print(cells(rows[-1]), flush=True)
    if args.keras == "keras":
        versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
        numbers = {"versions": versions, "models": rows}
        results = HERE / "results"
        (results / "keras_zoo.json").write_text(json.dumps(numbers, indent=1) + "\n")
        about = (
            "`python benchmarks/keras_zoo.py`: Keras {keras} on TensorFlow {tensorflow}.\n"
            "Difference: the largest one between the file in a clean process and the model's\n"
            "`predict`, over the largest value of the output; unoptimized: without TensorFlow's\n"
            "rewriting of the file's graph, which may round otherwise, as may `predict`.\n\n"
        ).format(**versions)
        (results / "keras_zoo.md").write_text(about + table(rows) + "\n")


if __name__ == "__main__":
    main()

"""Measures the cost of freeze_hooks, beside TensorFlow's and Keras's own tools.

    python benchmarks/run.py                                   # all: results/all.json, README.md
    python benchmarks/run.py --only plan,scaling               # some parts; the others stay
    python benchmarks/run.py --quick --out /tmp/quick/all.json # tests only that it runs

Needs TensorFlow 2.21, Keras 3, tf-slim and matplotlib (the extras `tensorflow`, `slim`, `dev`),
16 GB of memory and 10 GB of disk. It writes the figures beside the JSON.
"""

import argparse
import json
import os
import subprocess
import time

import report
from measure import apart
from parts import PARTS


def measure(part, options):
    """Return one part's numbers, and the names of the models that failed."""
    names = PARTS[part].quick if options.quick else PARTS[part].models
    if options.models:
        names = [name for name in options.models.split(",") if options.only or name in names]
    numbers, failed = {"rounds": options.rounds, "quick": options.quick, "models": {}}, []
    numbers["machine"] = options.machine
    numbers["load_before"] = os.getloadavg()[0]
    start = time.time()
    for name in names:
        print(f"{part}: {name} ...", flush=True)
        try:
            numbers["models"][name] = PARTS[part].run(name, options)
        except (subprocess.CalledProcessError, RuntimeError) as error:
            print(error, flush=True)
            failed.append(f"{part}: {name}")
    numbers["minutes"] = (time.time() - start) / 60
    return numbers, failed


def arguments():
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="parts, with commas: " + ", ".join(PARTS))
    parser.add_argument("--models", help="models, with commas; with --only, of any size")
    parser.add_argument("--rounds", type=int, default=7, help="later calls of each peer")
    parser.add_argument("--quick", action="store_true", help="small models, 2 rounds")
    parser.add_argument(
        "--dir", default=".", help="where files are written: name a folder on the disk to measure"
    )
    parser.add_argument("--out", help="the JSON; without it, results/all.json and README.md")
    options = parser.parse_args()
    unknown = set((options.only or "").split(",")) - set(PARTS) - {""}
    if unknown:
        parser.error(f"--only: no part is called {', '.join(sorted(unknown))}")
    if (options.quick or options.models) and not options.out:
        parser.error("--quick and --models are not for publication: say where to with --out")
    if options.quick:
        options.rounds = min(options.rounds, 2)
    options.dir = os.path.abspath(options.dir)
    return options


def main():
    """Measure part by part, and store each part when it is done."""
    options = arguments()
    out = os.path.abspath(options.out or report.RECORDED)
    os.makedirs(os.path.dirname(out), exist_ok=True)
    options.machine = apart("machine", "described", directory=options.dir)
    numbers, failed, options.measured = {}, [], {}
    if options.only and os.path.exists(out):
        with open(out) as file:
            numbers = json.load(file)
    for part in options.only.split(",") if options.only else PARTS:
        numbers[part], missed = measure(part, options)
        failed += missed
        if part == "session":
            options.measured = numbers[part]["models"]
        report.publish(numbers, out, readme=not options.out)
    print(report.text(numbers))
    if failed:
        raise SystemExit("failed: " + ", ".join(failed))


if __name__ == "__main__":
    main()

"""Measures how other programs run the files, against the live model: the table in README.md.

    python benchmarks/consumers.py                # all models: writes the table in README.md
    python benchmarks/consumers.py --only digits  # one model: prints its row

Needs the extras `tensorflow`, `slim`, `consumers` and `test`, make and a C compiler. A difference
is the largest one of the outputs, relative to the range of the live model's outputs.
"""

import argparse
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests" / "support"), str(HERE.parent / "examples")]
PAGE = HERE.parent / "README.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


def cell(program, case, directory, notes):
    """Return a difference, or the number of the note with the program's error."""
    from consumers import difference, quoted

    try:
        return f"{difference(program(case, directory), case.expected):.1e}"
    except Exception as error:
        note = quoted(error)
        if note not in notes:
            notes.append(note)
        return f"[{notes.index(note) + 1}]"


def measured(models):
    """Return the table as Markdown lines, and print each row when it is measured."""
    from consumers import NAMES, programs

    rows, notes = [], []
    rows.append("| model | " + " | ".join(NAMES.values()) + " |")
    rows.append("|---|" + "--:|" * len(NAMES))
    with tempfile.TemporaryDirectory() as top, programs(pathlib.Path(top)) as known:
        for model in models:
            directory = pathlib.Path(top) / model.__name__
            directory.mkdir()
            case = model(directory)
            cells = [cell(known[name], case, directory, notes) for name in NAMES]
            rows.append(f"| {model.__name__} | " + " | ".join(cells) + " |")
            print(rows[-1], flush=True)
    rows.append("")
    rows += [f"{i}. {note}" for i, note in enumerate(notes, 1)]
    return rows


def main():
    import consumed
    import tensorflow as tf

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=[model.__name__ for model in consumed.MODELS])
    args = parser.parse_args()
    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
    models = [model for model in consumed.MODELS if args.only in (None, model.__name__)]
    rows = measured(models)
    if args.only:
        print("\n".join(rows))
        return
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n" + "\n".join(rows) + f"\n\n{END}{after}")


if __name__ == "__main__":
    main()

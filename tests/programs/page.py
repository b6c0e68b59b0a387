"""Runs a page's blocks of Python in their order, as one program; prints what each printed, as JSON.

    python page.py PAGE

Left out are blocks that begin with "# needs" what is not here, and fragments, which begin with
"# a part of" a program.
"""

import contextlib
import io
import json
import re
import sys

import tensorflow as tf

LACKING = {
    "# needs TensorFlow 2": tf.__version__.startswith("1."),
    "# needs Keras 3": not getattr(tf.keras, "__version__", "2").startswith("3."),
    "# needs Estimator": not hasattr(tf, "estimator"),
    "# a part of": True,
}


def blocks(text):
    """(line, code, what it shall print or None) of each block."""
    for found in re.finditer(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", text, re.DOTALL):
        yield text.count("\n", 0, found.start()) + 2, found.group(1), found.group(2)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        text = file.read()
    names, done = {"__name__": "__main__"}, []
    for line, code, shown in blocks(text):
        if any(code.startswith(needs) for needs, lacking in LACKING.items() if lacking):
            continue
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            try:
                exec(compile("\n" * (line - 1) + code, sys.argv[1], "exec"), names)
            except BaseException:
                sys.stderr.write(f"{sys.argv[1]}:{line}\n")
                raise
        done.append({"line": line, "shown": shown, "printed": printed.getvalue()})
    print(json.dumps(done))


if __name__ == "__main__":
    main()

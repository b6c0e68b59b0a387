"""The command `freeze-hooks`."""

from __future__ import annotations

import os
import sys
import warnings


def main() -> None:
    """Run the command with the program's arguments; exits with its code."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ImportError as error:
        sys.exit(
            f"freeze-hooks: {error.name} is not installed, and the command needs it: "
            "pip install 'freeze-hooks[cli]'"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its errors come as exceptions too
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of TensorFlow's own imports
    from .command import quiet
    from .group import commands

    quiet()
    commands(prog_name="freeze-hooks")

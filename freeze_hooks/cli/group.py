"""The group of all commands; only the command that runs imports TensorFlow."""

from __future__ import annotations

import click

from .. import __version__
from .checkpoint import checkpoint
from .command import DEBUG
from .freeze import check, freeze
from .inspect import inspect
from .run import run
from .verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="freeze-hooks")
@click.option("--debug", is_flag=True, help=DEBUG)
def commands(debug: bool) -> None:
    """Freeze TensorFlow graphs from files, and inspect, check, compare and run frozen ones.

    Exit codes: 0, success; 1, `verify` found a difference; 2, an argument or a file is wrong.
    """


for command in (freeze, inspect, check, verify, checkpoint, run):
    commands.add_command(command)

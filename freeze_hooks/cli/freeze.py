"""`freeze-hooks freeze` and `check`: freeze checkpoints, SavedModels and graph files."""

from __future__ import annotations

import os
from typing import Any, Dict, Mapping, Optional, Sequence

import click

from . import command
from .command import Command

_TENSORS = "separated by commas; or NAME=TENSOR, to name it in the file"
ASKED = command.options(
    click.argument("source", type=click.Path()),
    click.option("--outputs", multiple=True, help=f"Tensors or ops to output, {_TENSORS}."),
    click.option("--inputs", multiple=True, help=f"Tensors to cut the graph at, {_TENSORS}."),
    click.option(
        "--bind",
        multiple=True,
        metavar="NAME=VALUE",
        help="Fix a tensor: training=false.",
    ),
    click.option("--checkpoint", type=click.Path(), help="The checkpoint of a graph's values."),
    click.option("--signature", default="serving_default", show_default=True, help="SavedModel's."),
    click.option("--tags", default="serve", show_default=True, help="SavedModel's, with commas."),
    click.option(
        "--weights",
        type=click.Choice(["float16", "bfloat16"]),
        help="Store floating variables in half the bytes.",
    ),
    click.option("--optimize", is_flag=True, help="Fold batch norms and constants."),
    click.option("--lower-control-flow", is_flag=True, help="Write TensorFlow 1's control flow."),
)
_KINDS = (
    "SOURCE is a SavedModel's directory, a checkpoint (prefix or directory, with its .meta file), "
    "a .meta file, or a GraphDef, text or binary, with --checkpoint."
)


@click.command(cls=Command, epilog=_KINDS)
@ASKED
@click.option("-o", "--output", required=True, type=click.Path(), help="Where to write.")
@click.option(
    "--check-numerics",
    type=click.Choice(["warn", "raise", "off"]),
    default="warn",
    show_default=True,
    help="What to do about NaN and infinity in variables.",
)
@click.option(
    "--format",
    type=click.Choice(["pb", "saved_model", "tfjs"]),
    default="pb",
    show_default=True,
    help="One file, or the directory of a SavedModel or a TensorFlow.js model.",
)
@click.option(
    "--variables",
    type=click.Choice(["true", "false", "link"]),
    help="Keep a SavedModel's weights as variables; link: in the checkpoint's own files.",
)
@click.option("--verify", is_flag=True, help="Compare its answers with SOURCE's first.")
@click.option("--feeds", type=click.Path(), help="Like --verify, on an .npz of inputs by name.")
def freeze(
    source: str,
    output: str,
    check_numerics: str,
    format: str,
    variables: Optional[str],
    verify: bool,
    feeds: Optional[str],
    **asked: Any,
) -> None:
    """Write SOURCE as one .pb file with graph and weights, a SavedModel or a TF.js model."""
    from ..storage.file_kinds import ABOUT
    from . import screen

    form = _arguments(**asked)
    form["format"] = _format(format, variables)
    _look_at(source, form)
    form["verify"] = command.load_arrays(feeds) if feeds else verify
    with screen.progress():
        from ..sources.any_file import freeze_files

        artifact = freeze_files(source, output, check_numerics=check_numerics, **form)
    screen.line(str(artifact), "green")
    screen.line()
    screen.signature(artifact.signature)
    rate = artifact.bytes / artifact.seconds if artifact.seconds else 0
    about = f"{output}.json" if format == "pb" else os.path.join(output, ABOUT)
    screen.line(f"{screen.size(rate)}/s, xxh3_64 {artifact.hash}, described by {about}")


def _format(name: str, variables: Optional[str]) -> Any:
    from ..plan.formats import SavedModel

    if variables is None:
        return name
    if name != "saved_model":
        raise click.UsageError("--variables is for --format saved_model")
    return SavedModel({"true": True, "false": False}.get(variables, variables))


@click.command(cls=Command, epilog=_KINDS)
@ASKED
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--all", "every", is_flag=True, help="Print all ops and layers.")
def check(source: str, as_json: bool, every: bool, **asked: Any) -> None:
    """Show what `freeze` would write from SOURCE, and its problems; write nothing."""
    from . import screen
    from .inspect import as_dict

    form = _arguments(**asked)
    _look_at(source, form)
    from ..sources.any_file import check as report_of

    report = report_of(source, **form)
    if as_json:
        screen.dump(as_dict(report))
        return
    screen.line(f"{source} can be frozen: {screen.size(report.bytes)}", "green")
    screen.line()
    screen.signature(report.signature)
    screen.counts(report.ops, every)
    screen.layers(report.layers, every)
    screen.findings(report.findings)


def _arguments(
    outputs: Sequence[str],
    inputs: Sequence[str],
    bind: Sequence[str],
    checkpoint: Optional[str],
    tags: str,
    **more: Any,
) -> Dict[str, Any]:
    return {
        "outputs": command.names(outputs),
        "inputs": command.names(inputs),
        "bind": command.bound(bind),
        "checkpoint": checkpoint,
        "tags": [tag for tag in tags.split(",") if tag],
        **more,
    }


def _look_at(source: str, form: Mapping[str, Any]) -> None:
    """Say what is wrong with files and names before TensorFlow is imported."""
    from ..plan.spec import Request
    from ..sources.asked_names import check_names
    from ..sources.at_path import find_prefix

    if form["checkpoint"] is not None:
        find_prefix(form["checkpoint"])
    request = Request(form["outputs"], form["inputs"], form["bind"])
    check_names(source, request, form["signature"], form["tags"])

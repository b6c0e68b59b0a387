"""`freeze-hooks inspect`: what is in a frozen file."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Dict, Mapping, Optional

import click

from .command import Command, artifact


@click.command(cls=Command)
@click.argument("file", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--all", "every", is_flag=True, help="Print all ops and layers.")
@click.option("--reader", metavar="NAME", help="Add what openvino or opencv reads wrong in it.")
@click.option("--asset", metavar="NAME", help="Write this asset's bytes to standard output.")
@click.option("--tensorboard", type=click.Path(), metavar="DIR", help="Write the graph there.")
def inspect(
    file: str,
    as_json: bool,
    every: bool,
    reader: Optional[str],
    asset: Optional[str],
    tensorboard: Optional[str],
) -> None:
    """Show the content of a frozen FILE, without running it."""
    if asset is not None:
        click.echo(_asset(artifact(file), asset), nl=False)
        return
    from ..frozen.reader import inspect as look
    from ..frozen.reader import read_graph_def
    from . import screen

    report = look(artifact(file), reader=reader)
    if tensorboard is not None:
        from ..on_publish.tensorboard import write_events

        write_events(read_graph_def(file), tensorboard)
    if as_json:
        screen.dump(as_dict(report))
        return
    weights = screen.size(report.weight_bytes)
    screen.line(f"{file}: {screen.size(report.bytes)}, weights {weights}", "bold")
    screen.line()
    screen.signatures(report.signatures)
    screen.counts(report.ops, every)
    screen.layers(report.layers, every)
    screen.findings([*report.findings, *report.side_effects])
    screen.line()
    screen.table("Provenance", ("", ""), _provenance(report.metadata))
    custom = [(key, json.dumps(value)) for key, value in sorted(report.custom_metadata.items())]
    screen.table("Custom metadata", ("", ""), custom)
    carried = [(name, screen.size(nbytes)) for name, nbytes in report.assets.items()]
    screen.table("Assets", ("name", "bytes"), carried, "bytes")
    if tensorboard is not None:
        screen.line(f"Graph written for: tensorboard --logdir {tensorboard}")


def _asset(path: str, name: str) -> bytes:
    from ..errors import UnknownNameError, near
    from ..frozen.reader import assets_in

    found = assets_in(path)
    if name not in found:
        there = ", ".join(map(repr, near(name, found) or sorted(found))) or "it carries none"
        raise UnknownNameError(f"{path} has no asset {name!r}: {there}")
    return found[name]


def _provenance(metadata: Mapping[str, Any]) -> Any:
    if not metadata:
        return [("description", "none: freeze_hooks did not write this file")]
    metrics = ", ".join(f"{k} {v}" for k, v in (metadata.get("metrics") or {}).items())
    versions = ", ".join(f"{k} {v}" for k, v in (metadata.get("versions") or {}).items())
    step = metadata.get("step")
    rows = [
        ("step", "" if step is None else str(step)),
        ("metrics", metrics),
        ("values from", str(metadata.get("values", ""))),
        ("written by", versions),
    ]
    return [row for row in rows if row[1]]


def as_dict(report: Any) -> Dict[str, Any]:
    """Return a Report as JSON types."""
    return dataclasses.asdict(report)

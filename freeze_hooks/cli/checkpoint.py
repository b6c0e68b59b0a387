"""`freeze-hooks checkpoint`: the variables in a checkpoint."""

from __future__ import annotations

from typing import Optional

import click

from .command import Command


@click.command(cls=Command)
@click.argument("checkpoint", type=click.Path(), metavar="PREFIX|DIR")
@click.option("--graph", type=click.Path(), help="Show which of them this graph file uses.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def checkpoint(checkpoint: str, graph: Optional[str], as_json: bool) -> None:
    """List the variables in a checkpoint, or in the newest of a directory."""
    from ..sources.contents import list_variables
    from . import screen

    found = list_variables(checkpoint, graph)
    if as_json:
        screen.dump(found)
        return
    rows = []
    for entry in found["variables"]:
        used = [", ".join(entry["used_by"]) or "-"] if graph else []
        nbytes = "" if entry["bytes"] is None else screen.size(entry["bytes"])
        rows.append([entry["key"], entry["dtype"], screen.dims(entry["shape"]), nbytes, *used])
    total = screen.size(sum(entry["bytes"] or 0 for entry in found["variables"]))
    title = f"{found['prefix']}: {len(rows)} variables, {total}"
    heads = ["key", "dtype", "shape", "bytes"] + (["used by"] if graph else [])
    screen.table(title, heads, rows, "bytes")
    if found["missing"]:
        screen.line(f"not in it, of {graph}: {', '.join(found['missing'])}", "yellow")

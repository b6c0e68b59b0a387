"""Prints tables and progress on a terminal, and plain lines into a file or program."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any, Iterable, Iterator, Mapping, Optional, Sequence

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

_PIPED = 10_000  # columns, so that lines in a file are not cut or wrapped
_SHOWN = 12  # rows of a long table


def console(error: bool = False) -> Console:
    """Return a console for the present standard output or standard error."""
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else _PIPED
    return Console(
        file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=not width
    )


def line(text: str = "", style: Optional[str] = None) -> None:
    """Print a line of text."""
    console().print(text, style=style)


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], right: str = "") -> None:
    """Print a table under a title; columns whose heads are in `right` are aligned to the right."""
    made = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, show_header=bool(any(heads)))
    for head in heads:
        made.add_column(head, overflow="fold", header_style="dim")
        if head and head in right.split():
            made.columns[-1].justify = "right"
    for row in rows:
        made.add_row(*row)
    if made.row_count:
        line(title, "bold")
        _print(made)
        line()


def _print(made: Table) -> None:
    shown = console()
    if shown.is_terminal:
        shown.print(made)
        return
    with shown.capture() as lines:
        shown.print(made)
    for text in lines.get().splitlines():  # without the spaces that fill the last column
        sys.stdout.write(text.rstrip() + "\n")


def first(rows: Sequence[Any], every: bool = False) -> Sequence[Any]:
    """Return the first rows of a long table; all rows with `every`."""
    return rows if every else rows[:_SHOWN]


def dump(value: Any) -> None:
    """Print a value as JSON."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


def size(nbytes: float) -> str:
    """Return "1.5 MB" for 1500000."""
    for unit in ("B", "kB", "MB"):
        if nbytes < 1000:
            return f"{nbytes:.0f} B" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1000
    return f"{nbytes:.2f} GB"


def dims(shape: Optional[Sequence[Optional[int]]]) -> str:
    """Return a shape as "?x224x224x3", "scalar", or "unknown" for an unknown rank."""
    if shape is None:
        return "unknown"
    return "x".join("?" if n is None else str(n) for n in shape) or "scalar"


def signatures(found: Mapping[str, Any]) -> None:
    """Print the inputs and outputs of a file, of each of its signatures."""
    for key, each in found.items():
        of = f" of {key}" if len(found) > 1 else ""
        for title, ends in (("Inputs", each.inputs), ("Outputs", each.outputs)):
            rows = [(end.name, end.dtype, dims(end.shape), end.tensor) for end in ends]
            table(title + of, ("name", "dtype", "shape", "tensor"), rows)


def counts(ops: Mapping[str, int], every: bool) -> None:
    """Print the number of each op, the most frequent first."""
    ranked = sorted(ops.items(), key=lambda item: (-item[1], item[0]))
    rows = [(op, str(count)) for op, count in first(ranked, every)]
    table(f"Ops: {sum(ops.values())} of {len(ops)} types", ("op", "count"), rows, "count")


def layers(found: Mapping[str, int], every: bool) -> None:
    """Print the bytes of each layer's weights, the largest first."""
    total = sum(found.values())
    ranked = list(found.items())
    rows = [(n, size(b), f"{100 * b / total:.1f}%") for n, b in first(ranked, every)]
    more = len(ranked) - len(rows)
    title = f"Weights: {size(total)}" + (f" ({more} more layers with --all)" if more else "")
    table(title, ("layer", "bytes", "share"), rows, "bytes share")


def findings(found: Iterable[Any]) -> None:
    """Print findings, one per line."""
    texts = [str(finding) for finding in found]
    line("Findings" if texts else "Findings: none", "bold")
    for text in texts:
        line("- " + text, "yellow")


@contextlib.contextmanager
def progress() -> Iterator[None]:
    """Show progress of the file that the block writes, on a terminal."""
    from ..storage.sink import reporting

    if not sys.stderr.isatty():
        yield
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(error=True), transient=True) as bar:
        task = bar.add_task("writing", total=None, start=True)

        def report(done: int, expected: int) -> None:
            bar.update(task, completed=done, total=max(done, expected))

        with reporting(report):
            yield

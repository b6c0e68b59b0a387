"""`freeze-hooks verify`: compare a frozen file with its source."""

from __future__ import annotations

from typing import Mapping, Optional

import click

from .command import Command, frozen, load_arrays


@click.command(cls=Command)
@click.argument("file", type=click.Path())
@click.option(
    "--against", required=True, type=click.Path(), help="A checkpoint, SavedModel or frozen file."
)
@click.option("--feeds", type=click.Path(), help="An .npz of inputs by name; else random ones.")
@click.option("--tolerance", default=1e-5, show_default=True, help="Greatest difference allowed.")
@click.option("--signature", default="serving_default", show_default=True, help="Which to compare.")
@click.option("--tags", default="serve", show_default=True, help="SavedModel's, with commas.")
@click.option("--seed", default=0, show_default=True, help="Seed of random feeds.")
def verify(
    file: str,
    against: str,
    feeds: Optional[str],
    tolerance: float,
    signature: str,
    tags: str,
    seed: int,
) -> None:
    """Compare FILE's constants and answers with another's; exit with 1 if they differ.

    Constants are compared by the variables' names, and outputs by their own names. A checkpoint
    has variables only.
    """
    from ..sources.at_path import kind_of
    from . import screen

    given = None if feeds is None else load_arrays(feeds)
    frozen(file)
    kind_of(against)
    from .comparison import compare

    found = compare(file, against, given, signature=signature, tags=tags.split(","), seed=seed)
    _say("constants", found.constants)
    _say("outputs", found.outputs)
    if found.failure:
        screen.line(f"outputs were not compared: {found.failure}", "yellow")
    apart = {**found.constants, **found.outputs}
    wrong = sorted((n for n, d in apart.items() if not d <= tolerance), key=lambda n: -apart[n])
    rows = [(name, f"{apart[name]:.3g}") for name in screen.first(wrong)]
    screen.table(f"Not within {tolerance:g}: {len(wrong)}", ("name", "difference"), rows)
    if wrong:
        screen.line(f"{file} differs from {against}", "red")
        raise click.exceptions.Exit(1)
    screen.line(f"{file} agrees with {against} within {tolerance:g}", "green")


def _say(what: str, differences: Mapping[str, float]) -> None:
    from . import screen

    if differences:
        equal = sum(d == 0 for d in differences.values())
        greatest = max(differences.values())
        total = len(differences)
        screen.line(f"{what}: {equal} of {total} equal, greatest difference {greatest:.3g}")

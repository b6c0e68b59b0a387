"""`freeze-hooks run`: run a frozen file once."""

from __future__ import annotations

import io
import zipfile
from typing import Any, Dict, Optional

import click

from .command import Command, frozen, load_arrays


@click.command(cls=Command)
@click.argument("file", type=click.Path())
@click.option("--feeds", type=click.Path(), help="An .npz of the inputs by name.")
@click.option("--out", type=click.Path(), help="The .npz to write the outputs to, by name.")
@click.option("--signature", default="serving_default", show_default=True, help="Which to run.")
@click.option("--allow-side-effects", is_flag=True, help="Also run ops that reach out.")
def run(
    file: str, feeds: Optional[str], out: Optional[str], signature: str, allow_side_effects: bool
) -> None:
    """Run a frozen FILE on the arrays in an .npz file."""
    from . import screen

    given = {} if feeds is None else load_arrays(feeds)
    frozen(file)
    from ..frozen.loaded_model import load_frozen
    from ..signature import chosen
    from ..storage import atomic

    with load_frozen(file, allow_side_effects) as model:
        answers = chosen(model.signatures, signature, file)(given)
    rows = [(name, a.dtype.name, screen.dims(a.shape), _range(a)) for name, a in answers.items()]
    if out is not None:
        packed = _npz(answers)
        atomic.publish(out, lambda sink: sink.write(packed))
    screen.table("Outputs", ("name", "dtype", "shape", "range"), rows)
    if out is not None:
        screen.line(f"Wrote {out}")


def _range(array: Any) -> str:
    if not array.size or array.dtype.kind not in "fiu":
        return ""
    return f"{array.min():.4g} to {array.max():.4g}"


def _npz(arrays: Dict[str, Any]) -> bytes:
    """Return an .npz; unlike numpy.savez, it takes any name, and stores strings without pickle."""
    import numpy as np

    from ..errors import FreezeError

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name, array in arrays.items():
            plain = array.astype(np.bytes_) if array.dtype == object else array
            if plain is not array and not np.array_equal(plain, array):
                raise FreezeError(
                    f"output {name!r} has strings that end in a zero byte, which an .npz loses: "
                    "run the file with fh.load_frozen"
                )
            with archive.open(name + ".npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(plain), allow_pickle=False)
    return buffer.getvalue()

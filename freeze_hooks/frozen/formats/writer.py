"""Writes one artifact with its values and its description, and proves it."""

from __future__ import annotations

import dataclasses
import time
from typing import Dict, Iterator, Mapping, Optional

from ... import _tf
from ...graph.lint import CARRIED
from ...plan.types import FreezePlan
from ...proof.expected import Expected
from ...proof.proof import Proof
from ...storage.file_kinds import refuse_foreign
from ...values import value
from ...values.numerics import watched
from ..artifact import Artifact, Undescribed
from ..description import describe
from ..optimize import optimized
from . import pb_file, saved_model_directory, tfjs_directory

_FORMATS = {
    "pb": pb_file.publishing,
    "saved_model": saved_model_directory.publishing,
    "tfjs": tfjs_directory.publishing,
}


def write_frozen(
    plan: FreezePlan,
    values: Iterator[value.Value],
    path: str,
    *,
    step: Optional[int],
    metrics: Optional[Mapping[str, float]],
    origin: str,
    beside: bool = True,
    expected: Optional[Expected] = None,
) -> Artifact:
    """Publish a plan with one value for each of its slots; `origin` says where the values are from.

    The description is in the file, and with `beside` also in a file beside it. If the answers
    differ from `expected`, the file does not appear.
    """
    if beside:  # else in place of TensorFlow's own functions, which take any path
        refuse_foreign(path, directory=plan.format.is_directory)
    start = time.perf_counter()
    odd: Dict[str, str] = {}
    values = watched(plan, values, plan.check_numerics, odd)
    if plan.optimize:
        plan, values = optimized(plan, values), iter(())
    signature, metrics = plan.signature, dict(metrics or {})
    description = describe(signature, step, metrics, origin)
    proof = None if expected is None else Proof(expected, path)
    if proof is not None and proof.mark is not None:
        description["max_difference"] = proof.mark
    carried = [dataclasses.asdict(found) for found in plan.findings if found.kind == CARRIED]
    if carried:  # the file itself no longer shows it
        description["findings"] = carried

    publishing = _FORMATS[plan.format.name]
    with publishing(plan, path, description, proof, beside) as target:
        target.write(plan, values, description)
    for name, kind in list(odd.items())[:1]:
        more = f", as do {len(odd) - 1} others" if len(odd) > 1 else ""
        _tf.warn(f"{path}: variable {name!r} holds {kind}{more} (check_numerics='warn')")
    difference = None if proof is None else proof.difference
    seconds, written = time.perf_counter() - start, target.written
    artifact = Artifact(
        path, step, signature, metrics, written.bytes, seconds, written.hash, difference
    )
    if target.trouble is not None:
        raise Undescribed(artifact, target.trouble)
    return artifact

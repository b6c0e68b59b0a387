"""Runs a converted file in its runtime, and compares its answers with TensorFlow's."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Container, Dict, Iterator, Mapping, Optional, Sequence, Set, Tuple

import numpy as np
import tensorflow as tf

from .. import _tf
from .._tf import v1
from ..errors import ConversionError, FreezeError
from ..frozen.artifact import Artifact
from ..proof.asked import TOLERANCE, Verify, Verifying
from ..proof.feeds import batches, check_feeds
from ..proof.fit import held
from ..proof.hints import hints_in
from ..proof.tensor_ends import Ends
from ..proof.tolerance import difference, scale
from ..signature import Signature
from .converting import shortened

Feeds = Mapping[str, Any]
Run = Callable[[Feeds], Mapping[str, Any]]  # from {input name: array} to {output name: array}

# {dtype in which a graph computes: difference of correct runtimes, relative to an output's scale}
_TOLERANCES = {tf.bfloat16.as_datatype_enum: 0.1, tf.float16.as_datatype_enum: 0.01}
_IDS = 100  # random whole numbers are lower


def asked(verify: Verifying) -> Optional[Verify]:
    """Return a converter's `verify=` as a `Verify`; a tolerance of None depends on the graph.

    Raises:
      FreezeError: `verify=` does not take such a value.
    """
    if not verify:
        return None
    if isinstance(verify, Mapping):
        return Verify(dict(verify))
    if isinstance(verify, Verify):
        return verify
    if verify is not True:
        raise FreezeError(
            f"verify= must be True, False, a dict of sample feeds or fh.Verify, not {verify!r}"
        )
    return Verify()


def tolerance_of(graph_def: Any) -> float:
    """Return the allowed difference between runtimes, relative to an output's scale."""
    functions = graph_def.library.function
    nodes = [*graph_def.node, *(node for function in functions for node in function.node_def)]
    dtypes = {value.type for node in nodes for value in node.attr.values()}
    return max([TOLERANCE, *(t for dtype, t in _TOLERANCES.items() if dtype in dtypes)])


def compare(
    artifact: Artifact,
    graph_def: Any,
    load: Callable[[bytes], Run],
    runtime: str,
    verify: Verify,
    called: str,
    content: bytes,
) -> None:
    """Check that a runtime's answers equal TensorFlow's; warn if there are no feeds to try.

    Two sizes are tried where sizes are open. Random outputs are run, but not compared.

    Args:
      artifact: the frozen file's Artifact.
      graph_def: the frozen file's content.
      load: loads the converted file in its runtime; it may raise any error.
      runtime: the runtime's name, for messages.
      verify: the feeds and the tolerance.
      called: the converted file's final name, for messages.
      content: the converted file's content.

    Raises:
      ConversionError: the runtime cannot run the file, or answers differently.
      FreezeError: the feeds do not match the file's inputs.
    """
    allowed = tolerance_of(graph_def) if verify.tolerance is None else verify.tolerance
    said = f"{called} is not published: {runtime}"
    if verify.feeds is not None:
        check_feeds(verify, artifact.signature.inputs)
    with _told(said):
        run = load(content)
    refused = "the rank of an input is unknown"
    random: Optional[Set[str]] = None  # outputs that differ from run to run
    with _tensorflow(artifact, graph_def) as (graph, answer):
        for candidates in _trials(graph, artifact.signature, verify):
            for feeds in candidates:
                try:
                    wanted = answer(feeds)
                except (tf.errors.OpError, ValueError) as error:
                    refused = shortened(error)
                    continue
                with _told(said):
                    found = run(feeds)
                if random is None:
                    again = answer(feeds)
                    random = {name for name in wanted if difference(again[name], wanted[name])}
                _see(found, wanted, random, allowed, said)
                break
    if random is None:
        _tf.warn(
            f"{called} was not tried: the model refuses random feeds ({refused}); give feeds that "
            "it accepts, verify={name: array}"
        )


@contextlib.contextmanager
def _told(said: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise ConversionError(
            f"{said} cannot run it: {shortened(error)}. Change the model there, or freeze only the "
            "part before it; verify=False publishes the file anyway"
        ) from error


def _see(found: Feeds, wanted: Feeds, random: Set[str], allowed: float, said: str) -> None:
    for name, right in wanted.items():
        ours = np.asarray(found[name])
        if ours.shape != right.shape:
            raise ConversionError(
                f"{said} gives output {name!r} the shape {ours.shape}, but TensorFlow gives it "
                f"{right.shape}"
            )
        if name in random:
            continue
        largest = difference(ours, right)
        if largest > allowed * scale(right):
            raise ConversionError(
                f"{said} answers differently from TensorFlow: output {name!r} differs by "
                f"{largest:.3g}, but {allowed * scale(right):.3g} is allowed. Allow more, "
                "verify=fh.Verify(tolerance=...), if the model magnifies rounding errors"
            )


@contextlib.contextmanager
def _tensorflow(artifact: Artifact, graph_def: Any) -> Iterator[Tuple[Any, Run]]:
    """Yield the frozen file's graph, and a function that runs it in TensorFlow."""
    ends = _ends(artifact.signature)
    # on the CPU: GPUs round differently, and give zeros for an index that is out of range
    config = v1.ConfigProto(allow_soft_placement=True, device_count={"GPU": 0})
    config.graph_options.rewrite_options.disable_meta_optimizer = True  # slow on large graphs
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with v1.Session(graph=graph, config=config) as session:

            def answer(feeds: Feeds) -> Dict[str, Any]:
                given = {ends.inputs[name]: value for name, value in feeds.items()}
                found = session.run(dict(ends.outputs), given)
                return {name: np.asarray(value) for name, value in found.items()}

            yield graph, answer


def _ends(signature: Signature) -> Ends:
    return Ends(
        {info.name: info.tensor for info in signature.inputs},
        {info.name: info.tensor for info in signature.outputs},
        {},
    )


def _trials(graph: Any, signature: Signature, verify: Verify) -> Iterator[Sequence[Feeds]]:
    """Yield lists of feeds; the later feeds of a list are tried if the model refuses the first."""
    if verify.feeds is None and any(info.shape is None for info in signature.inputs):
        return
    dtypes = {info.name: tf.as_dtype(info.dtype) for info in signature.inputs}
    hints = {} if verify.feeds else hints_in(graph, _ends(signature))
    for batch in batches(verify, signature.inputs, hints):
        feeds = {name: held(value, dtypes[name]) for name, value in batch.items()}
        ids = [] if verify.feeds else [_with_ids(feeds, hints, verify.seed)]
        yield [*ids, feeds]


def _with_ids(feeds: Feeds, hints: Container[str], seed: int) -> Feeds:
    """Return the feeds with whole numbers beyond 0 and 1, also negative ones."""
    random = np.random.RandomState(seed)

    def other(name: str, value: Any) -> Any:
        if name in hints or value.dtype.kind not in "iu":
            return value
        lowest = -_IDS if value.dtype.kind == "i" else 0
        return random.randint(lowest, _IDS, value.shape).astype(value.dtype)

    return {name: other(name, value) for name, value in feeds.items()}

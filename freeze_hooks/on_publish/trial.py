"""A converted file is run by the runtime that it is for, and answers as the frozen file does."""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Container, Dict, Iterator, Mapping, Optional, Sequence, Set, Tuple

import numpy as np
import tensorflow as tf

from .. import _tf
from .._tf import v1
from ..errors import ConversionError, FreezeError
from ..frozen.writer import Artifact
from ..proof.asked import TOLERANCE, Verify, Verifying
from ..proof.ends import Ends
from ..proof.feeds import batches, check_feeds
from ..proof.fit import held
from ..proof.hints import hints_in
from ..proof.tolerance import difference, scale
from ..signature import Signature
from .converting import shortened

Feeds = Mapping[str, Any]
Run = Callable[[Feeds], Mapping[str, Any]]  # from {input name: array} to {output name: array}

# By how much of an output's scale runtimes differ that are right, where a graph computes in these.
_TOLERANCES = {tf.bfloat16.as_datatype_enum: 0.1, tf.float16.as_datatype_enum: 0.01}
_IDS = 100  # whole numbers are below


def asked(verify: Verifying) -> Optional[Verify]:
    """What a converter's `verify=` means; its tolerance is None where the graph says which.

    Raises:
      FreezeError: it is none of what `verify=` takes.
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
    """By how much of its scale an output may differ between runtimes."""
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
    """See that a runtime answers as TensorFlow does; warn if there is nothing to ask them.

    Where sizes are open, two are tried. What is random in a model is only run.

    Args:
      artifact: of the frozen file.
      graph_def: what is in it.
      load: makes the converted file ready in its runtime; it raises what it likes.
      runtime: whose it is, for messages.
      verify: how.
      called: the file's final name, for messages.
      content: of the converted file.

    Raises:
      ConversionError: it cannot be run, or answers otherwise.
      FreezeError: the feeds are not the file's.
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
            f"{called} was not tried: the model takes no feeds that were made up ({refused}); give "
            "some, verify={name: array}"
        )


@contextlib.contextmanager
def _told(said: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise ConversionError(
            f"{said} cannot run it: {shortened(error)}. Change the model there, or freeze what "
            "comes before; verify=False publishes the file all the same"
        ) from error


def _see(found: Feeds, wanted: Feeds, random: Set[str], allowed: float, said: str) -> None:
    for name, right in wanted.items():
        ours = np.asarray(found[name])
        if ours.shape != right.shape:
            raise ConversionError(
                f"{said} gives output {name!r} the shape {ours.shape}, where TensorFlow gives it "
                f"{right.shape}"
            )
        if name in random:
            continue
        largest = difference(ours, right)
        if largest > allowed * scale(right):
            raise ConversionError(
                f"{said} answers otherwise than TensorFlow: output {name!r} differs by "
                f"{largest:.3g}, where {allowed * scale(right):.3g} is allowed. Allow more, "
                "verify=fh.Verify(tolerance=...), if the model magnifies rounding"
            )


@contextlib.contextmanager
def _tensorflow(artifact: Artifact, graph_def: Any) -> Iterator[Tuple[Any, Run]]:
    """The file's graph, and what TensorFlow alone makes of it."""
    ends = _ends(artifact.signature)
    # on the CPU: GPUs round otherwise, and give zeros where an index is nowhere
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
    """Feeds to try, each with others to try where the model refuses them."""
    if verify.feeds is None and any(info.shape is None for info in signature.inputs):
        return
    dtypes = {info.name: tf.as_dtype(info.dtype) for info in signature.inputs}
    hints = {} if verify.feeds else hints_in(graph, _ends(signature))
    for batch in batches(verify, signature.inputs, hints):
        feeds = {name: held(value, dtypes[name]) for name, value in batch.items()}
        ids = [] if verify.feeds else [_with_ids(feeds, hints, verify.seed)]
        yield [*ids, feeds]


def _with_ids(feeds: Feeds, hints: Container[str], seed: int) -> Feeds:
    """The feeds with other whole numbers than 0 and 1, negative ones too."""
    random = np.random.RandomState(seed)

    def other(name: str, value: Any) -> Any:
        if name in hints or value.dtype.kind not in "iu":
            return value
        lowest = -_IDS if value.dtype.kind == "i" else 0
        return random.randint(lowest, _IDS, value.shape).astype(value.dtype)

    return {name: other(name, value) for name, value in feeds.items()}

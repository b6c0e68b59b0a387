"""Compares a frozen file with a checkpoint, a SavedModel or another frozen file."""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import tensorflow as tf

from .._tf import v1
from ..errors import FreezeError, InvalidFileError, refused
from ..frozen.loaded_model import load_frozen
from ..frozen.reader import read_graph_def
from ..graph.passes.narrow_weights import WEIGHTS
from ..proof.feeds import random_feeds
from ..proof.tolerance import difference
from ..signature import SERVING
from ..sources.at_path import CHECKPOINT, SAVED_MODEL, find_prefix, kind_of
from ..sources.checkpoint_index import Checkpoint
from ..sources.saved_model_message import (
    meta_graph,
    refuse_to_load,
    signature_of,
    tensors_of,
    values_prefix,
)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The differences that `compare` found.

    Attributes:
      constants: {variable: greatest difference of its elements}; 0.0 means equal.
      outputs: {output: greatest difference of its elements}.
      failure: why outputs were not compared; None if they were, or `against` has no outputs.
    """

    constants: Mapping[str, float]
    outputs: Mapping[str, float]
    failure: Optional[str] = None

    @property
    def difference(self) -> float:
        """The greatest difference; infinite if NaN or shapes differ."""
        return max([*self.constants.values(), *self.outputs.values()], default=0.0)


def compare(
    path: str,
    against: str,
    feeds: Optional[Mapping[str, Any]] = None,
    *,
    signature: str = SERVING,
    tags: Sequence[str] = ("serve",),
    seed: int = 0,
) -> Comparison:
    """Compare a frozen file with its source, or with another file.

    Args:
      path: the frozen file.
      against: a checkpoint (constants are compared by the variables' names), a SavedModel (also
        outputs, by their keys), or another frozen file.
      feeds: {input: array}; None makes random ones.
      signature: which signature of the files and of the SavedModel to compare.
      tags: of the SavedModel.
      seed: of the random feeds.

    Raises:
      FreezeError: there is nothing to compare, feeds do not fit, or a file cannot be read.
    """
    kind = kind_of(against)
    mine = constants(path)
    if kind == CHECKPOINT:
        held = _saved(find_prefix(against), mine)
    elif kind == SAVED_MODEL:
        has_values = tf.io.gfile.exists(values_prefix(against) + ".index")
        held = _saved(values_prefix(against), mine) if has_values else _frozen_in(against)
    else:
        held = constants(against)
    same = {name: difference(mine[name], held[name]) for name in mine if name in held}
    outputs: Dict[str, float] = {}
    failure = None
    if kind != CHECKPOINT:
        outputs, failure = _outputs(path, against, kind, feeds, signature, tags, seed)
    if not same and not outputs:
        raise FreezeError(
            f"{path} and {against} have neither a constant nor an output of one name in common"
            + (f" ({failure})" if failure else "")
        )
    return Comparison(same, outputs, failure)


def constants(path: str) -> Dict[str, Any]:
    """Return {name: array} of the constants in a graph's file.

    A constant that `weights=` made smaller is listed under the name of its Cast: the variable's.
    """
    nodes = read_graph_def(path).node
    found = {
        node.name: v1.make_ndarray(node.attr["value"].tensor)
        for node in nodes
        if node.op == "Const"
    }
    for node in nodes:
        if node.op == "Cast" and node.input[0] in found and node.input[0] in _small(node.name):
            found[node.name] = found.pop(node.input[0])
    return found


def _frozen_in(directory: str) -> Dict[str, Any]:
    """Return the constants of a SavedModel without variables."""
    try:
        return constants(directory)
    except InvalidFileError:  # it has several graphs, or tables with variables of their own
        return {}


def _small(name: str) -> List[str]:
    return [f"{name}/{weights}" for weights in WEIGHTS]


def _saved(prefix: str, names: Mapping[str, Any]) -> Dict[str, Any]:
    checkpoint = Checkpoint(prefix)
    places = {name: checkpoint.place(name) for name in names}
    found = [(name, place) for name, place in places.items() if place is not None]
    arrays = checkpoint.arrays([place for _, place in found])
    return {name: array for (name, _), array in zip(found, arrays)}


def _outputs(
    path: str,
    against: str,
    kind: str,
    feeds: Optional[Mapping[str, Any]],
    signature: str,
    tags: Sequence[str],
    seed: int,
) -> Tuple[Dict[str, float], Optional[str]]:
    with load_frozen(path) as whole:
        model = whole.signatures.get(signature, whole)
        if feeds is None:
            feeds = random_feeds(model.inputs.values(), seed)
        answers = model(feeds)
    if kind == SAVED_MODEL:
        theirs, failure = _served(against, feeds, signature, tags)
    else:
        with load_frozen(against) as other:
            theirs, failure = other.signatures.get(signature, other)(feeds), None
    pairs = {name: _key(name, theirs) for name in answers}
    return {n: difference(answers[n], theirs[k]) for n, k in pairs.items() if k}, failure


def _served(
    directory: str, feeds: Mapping[str, Any], signature: str, tags: Sequence[str]
) -> Tuple[Dict[str, Any], Optional[str]]:
    """Return a SavedModel's answers, or why it cannot be asked."""
    meta = meta_graph(directory, tags)
    ends = signature_of(os.fspath(directory), meta, signature)
    inputs = tensors_of(ends.inputs)
    named = {_key(name, inputs): value for name, value in feeds.items()}
    if None in named or set(named) != set(inputs):
        listed = ", ".join(map(repr, sorted(inputs)))
        return {}, f"signature {signature!r} takes {listed}, the file {sorted(feeds)}"
    refuse_to_load(directory, meta)
    feed = {inputs[key]: value for key, value in named.items() if key}
    broken = refused(f"SavedModel {directory!r}", tf.errors.OpError)
    with broken, tf.Graph().as_default(), v1.Session() as session:
        v1.saved_model.loader.load(session, list(tags), directory)
        return dict(session.run(tensors_of(ends.outputs), feed)), None


def _key(name: str, keys: Any) -> Optional[str]:
    """Return the key that belongs to a node's name, perhaps without the number at its end."""
    bare = re.sub(r"_\d+$", "", name)
    return name if name in keys else bare if bare in keys else None

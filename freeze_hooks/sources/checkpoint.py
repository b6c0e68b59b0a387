"""Freezes a graph with the values in a checkpoint's files, without a session or restore."""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Set

from ..errors import FreezeError, NotFreezableError, refused
from ..frozen.artifact import Artifact
from ..graph.restore_ops import SavedKey, changed_when_restored
from ..graph.side_effects import refuse_to_run
from ..graph.tables import Column
from ..graph.variables import Variable
from ..plan.carried import Assets, Metadata
from ..plan.compiler import compile_plan
from ..plan.file_options import FileOptions
from ..plan.formats import AskedFormat
from ..plan.located import located
from ..plan.spec import FreezeSpec, Names, Signatures
from ..plan.types import FreezePlan
from ..proof.asked import Verify, Verifying
from ..proof.asking import all_expected, askings_of
from ..proof.stored import Stored, StoredAnswers
from ..proof.tensor_ends import ends_of
from ..storage.listing import exists
from ..values.averages import average_names, check_ema
from ..values.linked import find_places
from ..values.renaming import Renaming, renamer
from ..values.static_tables import static_contents
from .at_path import find_prefix, stem
from .checkpoint_index import OBJECTS, Checkpoint
from .graph_file import StoredGraph, as_graph, stored_shapes
from .saved_keys import hints, own_saver
from .source import CHECKPOINT, Expecting, Source, nothing_expected


def freeze_checkpoint(
    checkpoint: Any,
    path: str,
    outputs: Names = None,
    *,
    graph: Any = None,
    inputs: Names = None,
    bind: Any = None,
    signatures: Signatures = None,
    variable_map: Renaming = None,
    ema: Any = None,
    lower_control_flow: bool = False,
    weights: Optional[str] = None,
    check_numerics: str = "warn",
    optimize: bool = False,
    verify: Verifying = None,
    format: AskedFormat = "pb",
    custom_metadata: Metadata = None,
    assets: Assets = None,
) -> Artifact:
    """Freeze a checkpoint to one `.pb` file, without a session: values are read from its files.

        fh.freeze_checkpoint("run/model.ckpt-1000", "model.pb", ["probs"])

    Values are read 2 MiB at a time; whole tensors only in format V1, and of partitioned variables.
    The checkpoint may be sharded, and written by tf.compat.v1.train.Saver or tf.train.Checkpoint.
    Partitioned variables are joined.

    Args:
      checkpoint: its prefix, one of its files, or a directory, of which the newest is taken.
      path: where to write; its directory must exist. `path + ".json"` describes a `.pb`.
      outputs, inputs, bind, signatures, lower_control_flow, weights, check_numerics,
        optimize: as in `freeze_session`.
      graph: a tf.Graph, GraphDef or MetaGraphDef, or the path of a GraphDef or MetaGraphDef file,
        binary or text. None is the checkpoint's own `.meta` file.
      variable_map: a dict or function from the graph's variable names to names or keys in the
        checkpoint, such as "model/layer/kernel" of a tf.train.Checkpoint(model=...).
      ema: an ExponentialMovingAverage whose averages to take, or a function from a variable's
        name to the name of the variable to take instead; a variable without an average keeps its
        own value.
      verify: as in FreezeHook. The file is compared with the graph in a new session, which the
        graph's own Saver restores; without a Saver, variables get the values with their names.
      format: as in FreezeHook; a SavedModel is the directory `path`.
      custom_metadata, assets: as in FreezeHook.

    Returns:
      The Artifact that was written. Its step is the number at the end of the prefix, or else the
      value of `global_step`.

    Raises:
      UnknownNameError: a tensor is not in the graph, or variables are not in the checkpoint; lists
        near matches.
      InvalidFileError: a file is missing, truncated or of another kind.
      FreezeError: a variable has another dtype or shape in the checkpoint, or the outputs cannot
        be frozen, or the file's answers differ by more than `verify=` allows. Nothing is written.
      OSError: a file cannot be read or written; an old file at `path` stays.
    """
    spec = FreezeSpec.make(
        outputs,
        inputs,
        bind,
        FileOptions(
            ema=ema,
            lower_control_flow=lower_control_flow,
            weights=weights,
            check_numerics=check_numerics,
            optimize=optimize,
            verify=verify,
            format=format,
            custom_metadata=custom_metadata,
            assets=assets,
        ),
        signatures,
        variable_map=variable_map,
    )
    return read_checkpoint(checkpoint, graph, spec).freeze(path)


def read_checkpoint(checkpoint: Any, graph: Any, spec: FreezeSpec) -> Source:
    """Return the source that `freeze_checkpoint` writes."""
    prefix = find_prefix(checkpoint)
    own = stem(prefix) + ".meta"
    if graph is None and not exists(own) and OBJECTS in Checkpoint(prefix).shapes:
        raise FreezeError(
            f"{prefix} is a checkpoint of objects (of tf.train.Checkpoint or save_weights), which "
            "has no graph: restore it into its model, tf.train.Checkpoint(model=model)"
            f".restore({prefix!r}), and give that to fh.freeze_keras_model or fh.freeze_function; "
            "or give graph="
        )
    stored = as_graph(_found(own if graph is None else graph))
    return CheckpointedGraph(stored, prefix).source(spec)


def _found(graph: Any) -> Any:
    if isinstance(graph, (str, os.PathLike)) and not exists(os.fspath(graph)):
        raise FreezeError(
            f"there is no file {os.fspath(graph)!r} with the checkpoint's graph: graph= says which "
            "to take, a tf.Graph or a .meta or GraphDef file"
        )
    return graph


def plan_stored(stored: StoredGraph, spec: FreezeSpec) -> FreezePlan:
    """Compile a graph that was read from a file; see `compile_plan` for the errors."""
    shape_of = stored.shape_of or stored_shapes(stored.graph_def)
    with refused("the graph"):
        live = stored.shape_of is not None
        contents = static_contents(stored.graph_def, stored.assets, trusted=live)
        return compile_plan(stored.graph_def, spec, shape_of, content_of=contents)


def without_values(plan: FreezePlan, expected: Expecting) -> Source:
    """Return a source for a plan without variables."""
    return Source(plan, lambda: iter(()), expected, None, CHECKPOINT)


def expected_of_stored(
    graph: StoredGraph,
    prefix: Optional[str],
    saver_def: Optional[Any],
    plan: FreezePlan,
    spec: FreezeSpec,
) -> Expecting:
    """Return a function that gives the answers that `verify=` expects of a stored graph.

    Raises:
      FreezeError: the feeds do not fit the graph.
    """
    if not isinstance(spec.file.verify, Verify):
        return nothing_expected
    stored = Stored(
        graph.graph_def,
        prefix,
        saver_def,
        {slot.variable.node for slot in plan.slots},
        graph.assets,
        lambda part: refuse_to_run(part, "to prove the file"),
    )
    renaming, askings = (
        (spec.variable_map, spec.file.ema),
        askings_of(spec.file.verify, plan.signatures),
    )
    answers = [
        StoredAnswers(
            askings[key],
            ends_of(plan.signatures[key], one.inputs, one.outputs, spec.bind),
            stored,
            *renaming,
        ).expected
        for key, one in spec.by_signature()
    ]
    return lambda: all_expected(answers)


class CheckpointedGraph:
    """A graph and the checkpoint with its values.

    Args:
      graph: the graph.
      prefix: the checkpoint's prefix; it is opened only if the outputs need variables.
      saver_def: the SaverDef whose restore ops tell the keys; None takes the MetaGraphDef's.
    """

    def __init__(self, graph: StoredGraph, prefix: str, saver_def: Optional[Any] = None) -> None:
        self.graph = graph
        self._prefix = prefix
        self._opened: Optional[Checkpoint] = None
        self._changed: Optional[Set[str]] = None
        self.saver_def = own_saver(graph, saver_def)

    @property
    def checkpoint(self) -> Checkpoint:
        """The opened checkpoint."""
        if self._opened is None:
            self._opened = Checkpoint(self._prefix)
        return self._opened

    def changed(self) -> Set[str]:
        """Return variables whose values the restore op computes from those in the checkpoint."""
        if self.saver_def is None:
            return set()
        if self._changed is None:
            graph_def, restore_op = self.graph.graph_def, self.saver_def.restore_op_name
            self._changed = changed_when_restored(graph_def, restore_op)
        return self._changed

    def needs_session(self, plan: FreezePlan) -> bool:
        """Return whether a session is needed, since the checkpoint lacks values of this plan."""
        variables = [slot.variable for slot in plan.slots]
        if not variables:
            return False
        changed, there = self.changed(), self.there(variables)
        return any(v.node in changed or v.node not in there for v in variables)

    def source(self, spec: FreezeSpec, plan: Optional[FreezePlan] = None) -> Source:
        """Compile the graph, unless `plan` is given, and find its variables.

        Raises:
          FreezeError: as `freeze_checkpoint`.
        """
        plan = plan or plan_stored(self.graph, spec)
        answers = expected_of_stored(
            self.graph, self._prefix if plan.slots else None, self.saver_def, plan, spec
        )
        if not plan.slots:
            return without_values(plan, answers)
        places = self.places([slot.variable for slot in plan.slots], spec)
        values = functools.partial(self.checkpoint.values, places)
        if plan.format.links:
            plan = self._linked(plan, places)
        return Source(plan, values, answers, self.checkpoint.step, CHECKPOINT)

    def _linked(self, plan: FreezePlan, places: Sequence[SavedKey]) -> FreezePlan:
        prefix = self.checkpoint.prefix
        wanted = {
            slot.key: (slot.variable, place)
            for slot, place in zip(plan.slots, places)
            if slot.key is not None
        }
        return located(plan, prefix, find_places(prefix, wanted))

    def places(self, variables: Sequence[Variable], spec: FreezeSpec) -> List[SavedKey]:
        """Return where the checkpoint has the value that `spec` takes for each variable."""
        tables = [v.node for v in variables if isinstance(v, Column)]
        if tables:
            raise NotFreezableError(
                f"the content of lookup table {tables[0]!r} changes in training, and is not read "
                "from checkpoints: freeze a session of the graph with freeze_session"
            )
        named = renamer(spec.variable_map)
        taken = self._averages(named, spec.file.ema, variables)
        wanted = [dataclasses.replace(v, node=taken(v.node)) for v in variables]
        changed = self.changed()
        for variable in wanted:
            if variable.node in changed:
                raise NotFreezableError(
                    f"the value of variable {variable.node!r} is not what the checkpoint holds: "
                    "the saver's own restore ops compute it; freeze_hooks.freeze_graph runs them, "
                    "or freeze a session with freeze_session"
                )
        return self.checkpoint.locate(wanted, self._hints())

    def there(self, variables: Sequence[Variable]) -> Dict[str, SavedKey]:
        """Return {name: place} of the variables that the checkpoint has."""
        return self.checkpoint.there(variables, self._hints())

    def _hints(self) -> Iterator[Mapping[str, SavedKey]]:
        return hints(self.graph, self.saver_def, self.checkpoint)

    def _averages(
        self, named: Callable[[str], str], ema: Any, variables: Sequence[Variable]
    ) -> Callable[[str], str]:
        if ema is None:
            return named
        check_ema(ema)
        hinted = list(self._hints())
        average = ema
        if not callable(ema):
            known = set(self.checkpoint.shapes).union(*hinted)
            averages = average_names([named(v.node) for v in variables], known, ema.name)
            average = lambda name: averages.get(name, f"{name}/{ema.name}")  # noqa: E731

        def there(name: str) -> bool:
            hit = any(name in places for places in hinted)
            return hit or self.checkpoint.place(name) is not None

        if not any(there(average(named(variable.node))) for variable in variables):
            raise FreezeError(
                f"ema=: checkpoint {self.checkpoint.prefix} has no average of any variable that "
                f"the outputs need, such as {average(named(variables[0].node))!r}"
                if variables
                else "ema=: the outputs need no variables"
            )
        return lambda n: average(named(n)) if there(average(named(n))) else named(n)

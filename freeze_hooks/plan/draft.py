"""An unfinished plan: the request, and the graph as the passes have changed it so far."""

from __future__ import annotations

import dataclasses
from typing import (
    Any,
    Callable,
    Dict,
    FrozenSet,
    List,
    Mapping,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from ..graph.body import Body
from ..graph.endpoints import End, Shape
from ..graph.functions import Library
from ..graph.lint import Asked, Finding
from ..graph.passes.defaults import with_defaults
from ..graph.passes.restored_variables import Restoring
from ..graph.prune import prune
from ..graph.tables import Table
from ..graph.variables import Variable
from .spec import FreezeSpec
from .types import Described, Located, Slot


@dataclasses.dataclass
class Draft:
    """What passes work on: each pass reads some attributes and sets others.

    Attributes:
      graph_def, spec, shape_of, one_call, content_of, stranded: see `compile_plan`.
      library: the graph's functions.
      originals: names of the training graph's nodes.
      body: the graph as the passes so far have changed it.
      outputs: the requested outputs; their tensors are `body.outputs`.
      inputs: the inputs of the file.
      moved: {cut or bound tensor: the tensor that replaces it}.
      named_inputs: {key: tensor of the training graph} for the tensors in inputs=.
      fed_variables: names of the variables among the inputs.
      changed: {variable or table: the op that changes it} when the training graph computes the
        outputs.
      updates: names of the assignments whose results the outputs need.
      slots: {Const that lacks its value: the variable that gives the value}.
      narrowed: {slot: DataType number of its value in the file}, where the node has another one.
      unasked: placeholders that the outputs need but inputs= does not name.
      unused: inputs that the outputs do not need.
      functions: the FunctionDefs that the body needs.
      inner: their bodies.
      asked: how the graph was to be frozen; the findings' remedies depend on it.
      restoring: the ops that restore the variables of a SavedModel.
      pieces: the file's bytes, with gaps.
      findings: problems found in the graph.
    """

    graph_def: Any
    spec: FreezeSpec
    shape_of: Callable[[str], Shape]
    one_call: bool
    content_of: Optional[Callable[[str], Optional[Table]]]
    stranded: Mapping[str, str]
    library: Library
    originals: FrozenSet[str]
    body: Body
    outputs: List[End] = dataclasses.field(default_factory=list)
    inputs: List[End] = dataclasses.field(default_factory=list)
    moved: Dict[str, str] = dataclasses.field(default_factory=dict)
    named_inputs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    fed_variables: Sequence[str] = ()
    changed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    updates: Sequence[str] = ()
    slots: Dict[str, Variable] = dataclasses.field(default_factory=dict)
    narrowed: Mapping[str, int] = dataclasses.field(default_factory=dict)
    unasked: Sequence[str] = ()
    unused: Sequence[str] = ()
    functions: Sequence[Any] = ()
    inner: Sequence[Body] = ()
    asked: Asked = dataclasses.field(default_factory=Asked)
    restoring: Optional[Restoring] = None
    pieces: Tuple[Union[bytes, Slot, Described, Located], ...] = ()
    findings: Tuple[Finding, ...] = ()

    @classmethod
    def of(
        cls,
        graph_def: Any,
        spec: FreezeSpec,
        shape_of: Callable[[str], Shape],
        one_call: bool,
        content_of: Optional[Callable[[str], Optional[Table]]],
        stranded: Optional[Mapping[str, str]],
    ) -> Draft:
        """Return the draft for the first pass; `graph_def` is not changed."""
        graph_def = with_defaults(graph_def)
        nodes = {node.name: node for node in graph_def.node}
        return cls(
            graph_def,
            spec,
            shape_of,
            one_call,
            content_of,
            stranded or {},
            Library(graph_def.library),
            frozenset(nodes),
            Body(nodes, [], effects=spec.targets),
        )

    def keep_needed(self) -> None:
        """Prune; ops that write a kept variable stay."""
        self.body = prune(self.body, keep_order=self.spec.kept is not None, in_place=True)

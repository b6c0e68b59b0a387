"""A plan in the making: what is asked of a graph, and what the passes have made of it so far."""

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
from ..graph.prune import prune
from ..graph.tables import Table
from ..graph.variables import Variable
from .spec import FreezeSpec
from .types import Described, Slot


@dataclasses.dataclass
class Draft:
    """What passes work on: each takes what it needs of this, and sets what it finds.

    Attributes:
      graph_def, spec, shape_of, one_call, content_of, stranded: see `compile_plan`.
      library: the graph's functions.
      originals: names of the nodes that the training graph has.
      body: the graph as the passes before have left it.
      outputs: the ends that are asked for; their tensors are `body.outputs`.
      inputs: the ends that are fed.
      moved: tensors that are cut or bound, and what takes their place.
      named_inputs: {key: tensor of the training graph} of what inputs= names.
      fed_variables: names of the variables among the inputs.
      changed: {variable or table: the op} of what changes when the training graph is asked for
        the outputs.
      updates: names of the assignments whose results the outputs need.
      slots: the variable of each Const that lacks its value, by the Const's name.
      unasked: placeholders that the outputs need though inputs= does not name them.
      unused: inputs that the outputs do not need.
      functions: the FunctionDefs that the body needs.
      inner: their bodies.
      asked: how the graph was asked to be frozen, by which the findings' remedies go.
      pieces: the file's bytes, with gaps.
      findings: what there is to say of the graph.
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
    unasked: Sequence[str] = ()
    unused: Sequence[str] = ()
    functions: Sequence[Any] = ()
    inner: Sequence[Body] = ()
    asked: Asked = dataclasses.field(default_factory=Asked)
    pieces: Tuple[Union[bytes, Slot, Described], ...] = ()
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
        """Return the draft that the first pass gets; the graph is left as it is."""
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
        """Prune; what writes a kept variable goes on doing so."""
        self.body = prune(self.body, keep_order=self.spec.kept is not None, in_place=True)

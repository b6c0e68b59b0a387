"""Faults to build into a plan, for proofs to find: each makes of a FreezePlan one that is wrong.

A fault is in the plan's bytes and in its signature alike, as a fault of the planning would be, so
that a proof that believes either is led astray.
"""

import dataclasses
import functools
import os
import sys

import tensorflow as tf

from freeze_hooks.plan import compiler
from freeze_hooks.plan.types import FreezePlan, Slot
from freeze_hooks.signature import SERVING
from freeze_hooks.sources.checkpoint_index import Checkpoint
from freeze_hooks.sources.function_plan import FunctionPlan
from freeze_hooks.values.checkpoint_reads import CheckpointValues
from freeze_hooks.values.session_reads import SessionValues

v1 = tf.compat.v1
ADDITIONS = ("Add", "AddV2")
CHOICES = ("Select", "SelectV2")
FILLED = ("InitializeTable", "InitializeTableV2", "LookupTableImport", "LookupTableImportV2")


class Editing:
    """The nodes of a plan, to be changed; `plan()` puts them together again."""

    def __init__(self, plan):
        self._before = plan
        self.signature = plan.signature
        self._tail = v1.GraphDef()
        self._parts = []  # (NodeDef, the piece it was, None for a node in plain bytes)
        for piece in plan.pieces:
            if isinstance(piece, bytes):
                run = v1.GraphDef.FromString(piece)
                self._parts += [(node, None) for node in run.node]
                del run.node[:]
                self._tail.MergeFrom(run)
            else:
                self._parts.append((v1.NodeDef.FromString(piece.node), piece))

    @property
    def nodes(self):
        return [node for node, _ in self._parts]

    @property
    def slots(self):
        return [node for node, piece in self._parts if isinstance(piece, Slot)]

    def node(self, name):
        return next(node for node in self.nodes if node.name == name)

    def input(self, *dtypes):
        """An input of the file of one of these dtypes."""
        return next(info for info in self.signature.inputs if info.dtype in dtypes)

    def first(self, ops):
        return next(node for node in self.nodes if node.op in ops)

    def add(self, op, name, inputs, **attrs):
        with tf.Graph().as_default():
            node = v1.NodeDef(name=name, op=op, input=inputs)
        for key, value in attrs.items():
            node.attr[key].CopyFrom(value)
        self._parts.insert(0, (node, None))
        return node.name

    def constant(self, name, value, dtype):
        tensor = v1.make_tensor_proto(value, dtype)
        attrs = {"dtype": type_of(dtype), "value": v1.AttrValue(tensor=tensor)}
        return self.add("Const", name, [], **attrs)

    def redirect(self, old, new, but=()):
        """What used the first output of node `old` uses that of `new`."""
        for node in self.nodes:
            if node.name in but:
                continue
            for i, name in enumerate(node.input):
                if name in (old, old + ":0"):
                    node.input[i] = new

    def behind(self, old, op, more=(), **attrs):
        """Put an op between a node and all that uses it."""
        new = self.add(op, old + "/fault", [old, *more], **attrs)
        self.redirect(old, new, but=(new,))
        return new

    def tell(self, info, **changes):
        """Change what the signature says of an input or output."""

        def told(infos):
            return tuple(
                dataclasses.replace(one, **changes) if one is info else one for one in infos
            )

        self.signature = type(self.signature)(
            told(self.signature.inputs), told(self.signature.outputs)
        )

    def plan(self):
        pieces, run = [], []
        for node, piece in self._parts:
            if piece is None:
                run.append(node)
                continue
            pieces.append(v1.GraphDef(node=run).SerializeToString())
            pieces.append(dataclasses.replace(piece, node=node.SerializeToString()))
            run = []
        self._tail.node.extend(run)
        pieces.append(self._tail.SerializeToString())
        signatures = {**self._before.signatures, SERVING: self.signature}
        return dataclasses.replace(self._before, pieces=tuple(pieces), signatures=signatures)


def type_of(dtype):
    return v1.AttrValue(type=tf.as_dtype(dtype).as_datatype_enum)


def fault(change):
    """Makes of a function that changes an Editing one from plan to plan."""

    @functools.wraps(change)
    def made(given, *args):
        assert isinstance(given, FreezePlan)
        editing = Editing(given)
        change(editing, *args)
        return editing.plan()

    return made


def _taken_as(editing, info, dtype):
    """The input is fed as `dtype`, and cast to what the graph takes."""
    name = info.tensor.split(":")[0]
    editing.node(name).attr["dtype"].CopyFrom(type_of(dtype))
    editing.behind(name, "Cast", SrcT=type_of(dtype), DstT=type_of(info.dtype))
    editing.tell(info, dtype=dtype)


@fault
def input_cast(editing):
    """An input of floats is fed whole numbers."""
    _taken_as(editing, editing.input("float32"), "int32")


@fault
def rounded_ids(editing):
    """An input of ids is fed floats."""
    _taken_as(editing, editing.input("int64", "int32"), "float32")


def _alike(editing):
    """Two square matrices of one shape."""
    found = {}
    for node, piece in editing._parts:
        if isinstance(piece, Slot):
            shape = piece.variable.shape
            if shape and len(shape) == 2 and shape[0] == shape[1]:
                found.setdefault((shape, piece.dtype), []).append(node.name)
    return next(names[:2] for names in found.values() if len(names) > 1)


@fault
def wrong_variable(editing):
    """Two variables of one shape have changed places."""
    one, other = _alike(editing)
    aside = one + "/aside"
    editing.redirect(one, aside)
    editing.redirect(other, one)
    editing.redirect(aside, other)


@fault
def transposed_constant(editing):
    """A square matrix is the other way round."""
    name = _alike(editing)[0]
    perm = editing.constant(name + "/perm", [1, 0], tf.int32)
    editing.behind(name, "Transpose", [perm], T=type_of("float32"), Tperm=type_of("int32"))


@fault
def dropped_update(editing):
    """What the function adds to a variable before it reads it is not added."""
    slots = [node.name for node in editing.slots]
    for node in editing.nodes:
        if node.op in ADDITIONS:
            source = editing.node(node.input[0].split(":")[0])
            while source.op == "Identity":
                source = editing.node(source.input[0].split(":")[0])
            if source.name in slots:
                editing.redirect(node.name, source.name)
                return
    raise AssertionError("nothing is added to a variable")


@fault
def wrong_branch(editing):
    """Where a condition chooses between two values, the other one is taken."""
    node = editing.first(CHOICES)
    one, other = node.input[1], node.input[2]
    node.input[1], node.input[2] = other, one


@fault
def wrong_table_entry(editing):
    """A table's values stand in another order."""
    node = editing.first(FILLED)
    axis = editing.constant(node.name + "/axis", [0], tf.int32)
    dtype = node.attr["Tval" if node.op.startswith("Init") else "Tout"]
    node.input[2] = editing.add(
        "ReverseV2", node.name + "/fault", [node.input[2], axis], T=dtype, Tidx=type_of("int32")
    )


@fault
def outputs_swapped(editing):
    """Two outputs have each other's name."""
    one, other = editing.signature.outputs[:2]
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    swapped = one.tensor, other.tensor
    editing.tell(one, tensor=swapped[1])
    editing.tell(other, tensor=swapped[0])


@fault
def wrong_output_dtype(editing):
    """An output is float64 where the model's is float32."""
    info = next(info for info in editing.signature.outputs if info.dtype == "float32")
    name = info.tensor.split(":")[0]
    wide = editing.add(
        "Cast", name + "/fault", [info.tensor], SrcT=type_of("float32"), DstT=type_of("float64")
    )
    editing.tell(info, tensor=wide + ":0", dtype="float64")


@fault
def baked_batch(editing, size):
    """An input whose first dimension is open takes one size alone."""
    info = editing.input("float32")
    assert info.shape and info.shape[0] is None
    name = info.tensor.split(":")[0]
    shape = editing.constant(name + "/size", [size, *info.shape[1:]], tf.int32)
    editing.behind(name, "Reshape", [shape], T=type_of("float32"), Tshape=type_of("int32"))


def replace(monkeypatch, name, wrong):
    """Every module of freeze_hooks that has a function of that name has another one instead."""
    modules = [m for n, m in sys.modules.items() if n.split(".")[0] == "freeze_hooks"]
    right = next(vars(m)[name] for m in modules if name in vars(m))
    for module in modules:
        if vars(module).get(name) is right:
            monkeypatch.setattr(module, name, wrong)


def build_in(monkeypatch, change):
    """Every plan that is compiled from now on is what `change` makes of it; on Keras's JAX and
    PyTorch, where another process compiles it, what comes from there."""
    right, made = compiler.compile_parts, FunctionPlan.__init__

    def wrong(*args, **kwargs):
        return change(right(*args, **kwargs))

    def wrong_from_elsewhere(self, given, *args, **more):
        made(self, change(given), *args, **more)

    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        replace(monkeypatch, "compile_parts", wrong)
    else:
        monkeypatch.setattr(FunctionPlan, "__init__", wrong_from_elsewhere)


def remember_values(monkeypatch):
    """Whoever reads variables is given what was read first."""
    readers = [(SessionValues, "read"), (SessionValues, "take"), (CheckpointValues, "read")]
    for kind, name in [*readers, (Checkpoint, "values")]:
        monkeypatch.setattr(kind, name, _remembering(getattr(kind, name)))
    right = FunctionPlan.__init__
    memory = {}

    def wrong(self, plan, values, *args, **more):
        right(self, plan, _remembering(values, memory), *args, **more)

    monkeypatch.setattr(FunctionPlan, "__init__", wrong)


def _remembering(read, memory=None):
    remembered = {} if memory is None else memory

    def wrong(*args, **more):
        which = repr([part for part in args if isinstance(part, slice)])
        if which not in remembered:
            remembered[which] = [_kept(value) for value in read(*args, **more)]
        return iter(remembered[which])

    return wrong


def _kept(value):
    chunks = [bytes(chunk) for chunk in value.chunks]
    return dataclasses.replace(value, chunks=chunks)

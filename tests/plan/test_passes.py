"""The lists of passes; passes share only a draft."""

import ast
import dataclasses
import inspect
import os

import pytest
import tensorflow as tf

import freeze_hooks as fh
from freeze_hooks.graph.body import Body
from freeze_hooks.plan import compiler, updates
from freeze_hooks.plan.draft import Draft, Part
from freeze_hooks.plan.spec import FreezeSpec

v1 = tf.compat.v1
PASSES = compiler.PASSES + compiler.PASSES_OF_FILE + updates.WITH_UPDATES + updates.WITHOUT_UPDATES


@pytest.mark.parametrize("apply", sorted(set(PASSES), key=lambda p: p.__name__))
def test_a_pass_takes_a_draft_and_says_what_it_does(apply):
    assert list(inspect.signature(apply).parameters) == ["draft"]
    assert inspect.getdoc(apply)


def test_no_pass_stands_twice_in_a_list():
    for passes in (
        compiler.PASSES,
        compiler.PASSES_OF_FILE,
        updates.WITH_UPDATES,
        updates.WITHOUT_UPDATES,
    ):
        assert len(set(passes)) == len(passes)


def test_passes_leave_the_training_graph_as_it_is():
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None], name="x")
        tf.multiply(x, v1.get_variable("w", [], use_resource=False), name="y")
    graph_def = graph.as_graph_def()
    before = graph_def.SerializeToString(deterministic=True)
    part = Part(graph_def, FreezeSpec.make(["y"]), lambda name: None)
    draft = Draft.of(part, False, None)
    seen = []
    for apply in compiler.PASSES + compiler.PASSES_OF_FILE:
        apply(draft)
        seen.append(set(draft.body.nodes))
    assert seen[0] > seen[-1] == {"x", "w", "w/read", "y"}
    assert [piece for piece in draft.pieces if not isinstance(piece, bytes)]
    assert graph_def.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("folder", ["graph", "plan"])
def test_only_a_body_marks_itself(folder):
    """`effects`, `awaited` and `waiting` are set by Body's own methods, and nowhere else."""
    marks = {"effects", "awaited", "waiting"}
    assert marks < {field.name for field in dataclasses.fields(Body)}
    for directory, _, files in os.walk(os.path.join(os.path.dirname(fh.__file__), folder)):
        for file in files:
            if not file.endswith(".py") or file == "body.py":
                continue
            with open(os.path.join(directory, file), encoding="utf-8") as source:
                tree = ast.parse(source.read())
            assigns = [n for n in ast.walk(tree) if isinstance(n, (ast.Assign, ast.AugAssign))]
            targets = [t for n in assigns for t in getattr(n, "targets", [getattr(n, "target", 0)])]
            assert not marks & {getattr(target, "attr", "") for target in targets}, file

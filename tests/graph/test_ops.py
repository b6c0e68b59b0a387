"""The one table of op kinds."""

import ast
import os
import re

import pytest
import tensorflow as tf

import freeze_hooks as fh
from freeze_hooks._tf import op_def
from freeze_hooks.graph import ops
from freeze_hooks.graph.passes import freeze_variables

PACKAGE = os.path.dirname(fh.__file__)
FOLDERS = ("graph", "plan")
KINDS = {name: kind for name, kind in vars(ops).items() if isinstance(kind, frozenset)}


def sources():
    return [
        os.path.join(directory, file)
        for folder in FOLDERS
        for directory, _, files in os.walk(os.path.join(PACKAGE, folder))
        for file in sorted(files)
        if file.endswith(".py") and file != "ops.py"
    ]


def frozensets(tree):
    """Yield the string constants in each frozenset that a module makes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "frozenset":
            yield [n.value for n in ast.walk(node) if isinstance(getattr(n, "value", None), str)]


@pytest.mark.parametrize("path", sources(), ids=lambda path: os.path.relpath(path, PACKAGE))
def test_kinds_of_ops_are_listed_in_one_place(path):
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    for names in frozensets(tree):
        assert sum(re.match("[A-Z]", name) is not None for name in names) < 3, names


@pytest.mark.parametrize("name", sorted(KINDS))
def test_a_kind_names_ops_that_there_are(name):
    unknown = {op for op in KINDS[name] if op != ops.ARG and op_def(op) is None}
    if tf.__version__.startswith("1."):  # it lacks some later ops
        assert unknown < KINDS[name]
    else:
        assert not unknown


def test_each_read_of_a_variable_has_a_plain_op():
    assert set(freeze_variables._PLAIN) == ops.READS

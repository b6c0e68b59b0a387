"""What holds of the package's own files: they are small, know little of each other, and say what
they are for."""

import ast
import inspect
import os
import re

import pytest

import freeze_hooks as fh

PACKAGE = os.path.dirname(fh.__file__)
LINES = 400


def modules():
    """{dotted name: path} of all modules."""
    found = {}
    for directory, _, files in os.walk(PACKAGE):
        inner = os.path.relpath(directory, os.path.dirname(PACKAGE)).replace(os.sep, ".")
        for file in files:
            if file.endswith(".py"):
                name = inner if file == "__init__.py" else f"{inner}.{file[:-3]}"
                found[name] = os.path.join(directory, file)
    return found


MODULES = modules()


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def imported(name):
    """The package's modules that a module imports, anywhere in it."""
    is_package = MODULES[name].endswith("__init__.py")
    found = set()
    for node in ast.walk(ast.parse(read(MODULES[name]))):
        if isinstance(node, ast.ImportFrom) and node.level:
            parts = name.split(".")
            parts = parts[: len(parts) - node.level + is_package]
            base = ".".join(parts + ([node.module] if node.module else []))
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                found.add(whole if whole in MODULES else base)
    return found


def test_no_circle_among_modules():
    pending = {name: imported(name) for name in MODULES if name != "freeze_hooks"}
    while pending:
        free = [name for name, needs in pending.items() if not needs & set(pending)]
        assert free, f"these import each other: {sorted(pending)}"
        for name in free:
            del pending[name]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module(name):
    text = read(MODULES[name])
    assert text.count("\n") < LINES
    assert ast.get_docstring(ast.parse(text)), "says nothing of itself"
    if name != "freeze_hooks._tf":  # which alone knows TensorFlow's versions and inner modules
        assert not re.search(r"^\s*(from|import) tensorflow\.python", text, re.MULTILINE)
        assert not re.search(r"\btf\.(__version__|VERSION\b|compat\.v1\.VERSION)", text)


@pytest.mark.parametrize("name", sorted(n for n in MODULES if n.startswith("freeze_hooks.graph.")))
def test_rewriting_knows_no_sessions_and_no_files(name):
    text = read(MODULES[name])
    assert not re.search(r"\b(open|Session|session)\(|^\s*import (os|io|keras)\b", text, re.M)
    above = {need for need in imported(name) if not need.startswith("freeze_hooks.graph")}
    known = {"freeze_hooks._protos", "freeze_hooks.errors"}
    if name == "freeze_hooks.graph.op_registry":  # which alone asks TensorFlow
        known.add("freeze_hooks._tf")
    assert above <= known


def test_analyses_know_nothing_of_rewritings():
    for name in MODULES:
        if name.startswith("freeze_hooks.graph.") and ".passes" not in name:
            assert not [need for need in imported(name) if ".graph.passes" in need], name


def public():
    for name in fh.__all__:
        thing = getattr(fh, name)
        yield name, thing
        if inspect.isclass(thing):
            for attribute, value in vars(thing).items():
                callable_ = inspect.isfunction(value) or isinstance(value, property)
                if callable_ and not attribute.startswith("_"):
                    yield f"{name}.{attribute}", value


@pytest.mark.parametrize("name, thing", [pytest.param(n, t, id=n) for n, t in public()])
def test_a_public_name_says_what_it_is_for(name, thing):
    if not (callable(thing) or isinstance(thing, property)):
        return
    text = inspect.getdoc(thing)
    assert text and len(text.split("\n")[0].split()) > 2


def reached(name):
    """All of the package that a module imports, through whatever."""
    stack, seen = [name], set()
    while stack:
        fresh = {need for need in imported(stack.pop()) if need in MODULES} - seen
        seen |= fresh
        stack += fresh
    return seen - {"freeze_hooks"}


NEUTRAL = {
    f"freeze_hooks.{n}"
    for n in (
        "_keras",
        "_protos",
        "_tf",
        "errors",
        "replicas",
        "signature",
        "storage",
        "storage.descriptor",
        "storage.filesystem",
    )
}


@pytest.mark.parametrize("name", sorted(n for n in MODULES if n.startswith("freeze_hooks.proof")))
def test_what_proves_knows_nothing_of_planning_rewriting_and_reading_values(name):
    others = {need for need in reached(name) if not need.startswith("freeze_hooks.proof")}
    assert others <= NEUTRAL

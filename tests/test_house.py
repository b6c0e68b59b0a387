"""What holds of the package's own files: they are small, import downwards, and say what they do.

A rule that stands in your way may be wrong: change it here, and say why in the commit.
"""

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
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


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


def top(name):
    """The entry of freeze_hooks/ that a module is or is in; "" for freeze_hooks itself."""
    return (name.split(".") + [""])[1]


def folder(name):
    """The folder that a module is in."""
    return os.path.relpath(os.path.dirname(MODULES[name]), PACKAGE)


# Who may import whom: each entry of freeze_hooks/, and those below it.
_SMALL = {"_protos", "_tf", "errors", "signature"}
_CORE = _SMALL | {"_keras", "graph", "plan", "proof", "storage"}
_ALL = _CORE | {"_saver", "frozen", "sources", "values"}
BELOW = {
    "_protos": set(),
    "_keras": set(),
    "errors": set(),
    "signature": {"errors"},
    "_tf": {"_protos"},
    "storage": {"errors"},
    "graph": {"_protos", "_tf", "errors"},
    "proof": _SMALL | {"_keras", "storage"},  # knows none of what it proves
    "_saver": {"_tf", "graph"},
    "plan": _CORE - {"plan"},  # of storage only what reads the user's assets
    "values": _CORE,
    "frozen": _CORE | {"values"},
    "sources": _ALL - {"sources"},
    "on_publish": _CORE | {"frozen"},
    "training": _ALL,
    "freeze_graph": _ALL,
    "graph_util": _ALL,
    "cli": _ALL | {"on_publish", "training"},
}
ENTRIES, FLOORS = 20, 9


def test_the_entries_of_the_package_are_few():
    entries = set(os.listdir(PACKAGE)) - {"__pycache__"}
    assert len(entries) <= ENTRIES
    assert {entry.replace(".py", "") for entry in entries} == {*BELOW, "__init__", "py.typed"}


def test_imports_go_downwards():
    """Along the table, in which nothing is below itself; `from .. import __version__` is free."""
    for name in MODULES:
        for need in imported(name):
            entries = top(name), top(need)
            if "" not in entries and entries[0] != entries[1]:
                assert entries[1] in BELOW[entries[0]], f"{name} imports {need}"


def test_the_floors_are_few():
    needs = {entry: set() for entry in BELOW}
    for name in MODULES:
        if top(name):
            needs[top(name)] |= {top(need) for need in imported(name)} - {"", top(name)}

    def floor(entry, above=()):
        assert entry not in above, f"these import each other: {above}"
        return 1 + max([floor(need, (*above, entry)) for need in needs[entry]], default=0)

    assert max(map(floor, needs)) <= FLOORS


def circles(needs):
    """The names that are left when all that need nothing of what is left are taken away."""
    left = dict(needs)
    free = True
    while free:
        free = [name for name, others in left.items() if not (others - {name}) & set(left)]
        for name in free:
            del left[name]
    return left


def test_no_circle_among_modules():
    assert not circles({name: imported(name) for name in MODULES if name != "freeze_hooks"})


def test_no_circle_among_folders():
    needs = {}
    for name in set(MODULES) - {"freeze_hooks"}:
        others = {need for need in imported(name) if need in MODULES}
        needs.setdefault(folder(name), set()).update(map(folder, others))
    del needs["."]  # its modules stand apart, and the rules above are for them
    assert not circles(needs)


def test_no_two_modules_have_one_name():
    """But for the command's, which are called as their commands."""
    files = [MODULES[name] for name in MODULES if top(name) != "cli"]
    stems = [os.path.basename(file) for file in files if not file.endswith("__init__.py")]
    assert sorted(set(stems)) == sorted(stems)


ROOMS = {"_keras", "_protos", "_saver", "_tf"}  # of private names, versions and patches
_ASKING = ("getattr", "hasattr", "setattr")
_OF_PYTHON = {"_asdict", "_fields", "_getframe", "_replace"}
_OTHERS = re.compile(r"^(tensorflow|tensorflow_core)\.(python|core)\b|^(tf_)?keras\.src\b")


def is_private(name):
    return isinstance(name, str) and bool(re.match(r"_[a-zA-Z]", name)) and name not in _OF_PYTHON


def defined(tree):
    """The names that a module gives to functions, classes, variables and attributes of its own."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in ("self", "cls"):
            yield node.attr


def foreign(tree):
    """What a module uses of TensorFlow and Keras that they do not show, or sets in them."""
    own = set(defined(tree))
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Attribute):
            names = [node.attr] if node.attr not in own else []
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) in _ASKING:
            names = [getattr(arg, "value", getattr(arg, "s", None)) for arg in node.args[1:2]]
        yield from filter(is_private, names)
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from filter(_OTHERS.match, modules)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            root = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in ("keras", "layer", "model", "tf", "v1"):
                yield f"{root.id}...{node.attr} ="


@pytest.mark.parametrize("name", sorted(name for name in MODULES if top(name) not in ROOMS))
def test_private_names_of_others_stand_in_few_modules(name):
    assert not sorted(set(foreign(ast.parse(read(MODULES[name])))))


def test_private_names_of_others_are_found():
    found = foreign(
        ast.parse(
            "from tensorflow.python.grappler import tf_optimizer\nimport keras.src.layers\n"
            "self._own = tensor._keras_history, named._replace(a=1)\n"
            "getattr(model, '_layers', ())\nmodel.train_function = v1.train.Saver.save = wrapped\n"
        )
    )
    assert sorted(set(found)) == [
        "_keras_history",
        "_layers",
        "keras.src.layers",
        "model...train_function =",
        "tensorflow.python.grappler",
        "v1...save =",
    ]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module(name):
    text = read(MODULES[name])
    assert text.count("\n") < LINES
    assert ast.get_docstring(ast.parse(text)), "says nothing of itself"
    if name != "freeze_hooks._tf":  # which alone knows TensorFlow's versions
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


@pytest.mark.parametrize("name", sorted(name for name in MODULES if top(name) == "proof"))
def test_what_proves_knows_nothing_of_planning_rewriting_and_reading_values(name):
    """Also through others; of storage it knows the file system alone."""
    others = {need for need in reached(name) if top(need) != "proof"}
    assert {top(need) for need in others} <= BELOW["proof"]
    assert in_storage(others) <= FILE_SYSTEM


@pytest.mark.parametrize("name", sorted(name for name in MODULES if top(name) == "plan"))
def test_what_plans_knows_the_file_system_alone_of_storage(name):
    assert in_storage(reached(name)) <= FILE_SYSTEM


FILE_SYSTEM = {"", "descriptor", "filesystem", "local_files", "remote_files"}


def in_storage(names):
    return {need.partition("storage.")[2] for need in names if top(need) == "storage"}


SHARED = {"attacks", "data", "integration", "programs", "regressions", "support"}
# Test files of no single module, and what they are about.
ACROSS = {
    ".": {
        "benchmarks": "the comparison of two runs",
        "docs": "the pages, and the programs in them",
        "examples": "the examples and README",
        "file_format": "a page whose reader does without the package",
        "house": "the shape of the package",
        "package": "what an import costs and gives",
        "release": "what is uploaded",
    },
    "cli": {"commands": "each command"},
    "graph": {
        "gradients_of_loops": "several passes",
        "rewriting": "several passes, in a row",
    },
    "plan": {"passes": "the order of the passes"},
    "on_publish/onnx": {"keras_layers": "every layer of Keras"},
    "proof": {
        "mutations": "faults in a plan, which a proof finds",
        "mutations_keras": "the same, of Keras models",
        "proofs": "proofs by every way to run a graph",
        "verify": "the argument verify=",
    },
    "sources": {
        "counts": "the ops in a file, by each source",
        "inference_graphs": "inference_fn= and ema=, by each source",
        "names_on_both_sides": "an output that is called as an input, by each source",
        "random_graphs": "a property of every graph",
        "slim_nets": "nets of tf-slim, by inference_fn=",
    },
    "sources/keras": {"zoo": "Keras models of every kind"},
    "training": {
        "errors_at_begin": "what hooks and callbacks refuse",
        "long_run": "many saves",
        "on_publish": "the argument on_publish=",
    },
    "values": {"table_kinds": "lookup tables in sessions, checkpoints and traced functions"},
}


def test_a_module_s_tests_are_found_by_its_path():
    """In the same folder under tests/, test_MODULE.py and test_MODULE_MORE.py."""
    tests = os.path.dirname(os.path.abspath(__file__))
    for directory, inner, files in os.walk(tests):
        inner[:] = sorted(set(inner) - SHARED - {"__pycache__"})
        where = os.path.relpath(directory, tests).replace(os.sep, "/")
        mirrored = os.path.join(PACKAGE, where)
        assert os.path.isdir(mirrored), f"tests/{where} is no folder of the package"
        known = [file.split(".")[0].lstrip("_") for file in os.listdir(mirrored)]
        for file in files:
            if file.startswith("test_"):
                about = file[len("test_") : -len(".py")]
                of_module = any(f"{about}_".startswith(f"{name}_") for name in known)
                assert of_module or about in ACROSS.get(where, {}), f"tests/{where}/{file}"


def test_noxfile_and_conftest_name_tests_that_are_there():
    """Where a test has moved, it would be run more often, or later, and nothing would tell."""
    noxfile, conftest = (os.path.join(ROOT, n) for n in ("noxfile.py", "tests/conftest.py"))
    named = re.findall(r'"(tests/[^":]+)', read(noxfile))
    named += ["tests/" + name for name in re.findall(r'^    "(.+\.py)",$', read(conftest), re.M)]
    assert len(named) > 20
    assert not [name for name in named if not os.path.exists(os.path.join(ROOT, name))]

"""Rewriting graphs, as pure functions of GraphDefs: no session, no file."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import freeze_hooks as fh
from freeze_hooks._protos import GraphDef, NodeDef
from freeze_hooks.errors import near
from freeze_hooks.graph.body import Body
from freeze_hooks.graph.constant_values import value_of
from freeze_hooks.graph.functions import Library
from freeze_hooks.graph.names import join, split, tensor_name, unique
from freeze_hooks.graph.passes.fold import simplify
from freeze_hooks.graph.prune import prune
from freeze_hooks.graph.walks import topological
from freeze_hooks.plan.compiler import compile_plan
from freeze_hooks.plan.spec import FreezeSpec

v1 = tf.compat.v1


@st.composite
def random_bodies(draw):
    """Draw an acyclic graph of up to 30 nodes in any order, with data and control inputs."""
    count = draw(st.integers(1, 30))
    nodes = []
    for i in range(count):
        above = st.lists(st.integers(0, i - 1), max_size=3) if i else st.just([])
        inputs = [f"n{j}" for j in draw(above)] + [f"^n{j}" for j in draw(above)]
        nodes.append(NodeDef(name=f"n{i}", op="AddN" if i else "Placeholder", input=inputs))
    order = draw(st.permutations(nodes))
    outputs = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=3, unique=True))
    return Body({node.name: node for node in order}, [f"n{i}" for i in outputs])


def reachable(body):
    found, stack = set(), list(body.outputs)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack += [text for text in body.nodes[name].input if not text.startswith("^")]
    return found


@given(random_bodies())
def test_prune_keeps_what_the_outputs_need(body):
    before = [node.SerializeToString() for node in body.nodes.values()]
    pruned = prune(body)
    assert set(pruned.nodes) == reachable(body)
    assert not any(text.startswith("^") for n in pruned.nodes.values() for text in n.input)
    assert [node.SerializeToString() for node in body.nodes.values()] == before


@given(random_bodies())
def test_topological_order_puts_inputs_first(body):
    place = {node.name: i for i, node in enumerate(topological(body))}
    assert len(place) == len(body.nodes)
    for node in body.nodes.values():
        assert all(place[split(text)[0]] < place[node.name] for text in node.input)


def test_order_needs_no_deep_stack():
    nodes = {"n0": NodeDef(name="n0", op="Placeholder")}
    for i in range(1, 50000):
        nodes[f"n{i}"] = NodeDef(name=f"n{i}", op="Identity", input=[f"n{i - 1}"])
    body = Body(dict(reversed(list(nodes.items()))), ["n49999"])
    assert [n.name for n in topological(prune(body))] == list(nodes)


@given(st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1), st.integers(-1, 9))
def test_names_are_split_as_they_are_joined(name, port):
    assert split(join(name, port)) == (name, port)
    if port >= 0:
        assert tensor_name(join(name, port)) == f"{name}:{port}"


@given(st.lists(st.sampled_from(["a", "a_1", "a_2", "b"])), st.sampled_from(["a", "b", "c"]))
def test_unique_names(taken, name):
    fresh = unique(name, taken)
    assert fresh not in taken
    assert fresh.startswith(name)
    assert fresh == name or name in taken


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("probs", "tower/probs"),
        ("tower/prob", "tower/probs"),
        ("Tower/Probs", "tower/probs"),
        ("is_trainig", "is_training"),
        ("softmax", "head/Softmax"),
    ],
)
def test_near_matches(typed, meant):
    names = ["x", "tower/probs", "is_training", "head/Softmax", "gradients/zeros", "save/restore"]
    assert near(typed, names)[0] == meant


OPERATIONS = {
    "and": tf.logical_and,
    "or": tf.logical_or,
    "equal": tf.equal,
    "less": tf.less,
    "greater_equal": tf.greater_equal,
}


@st.composite
def expressions(draw, depth=3):
    """Draw a function that builds a bool tensor: nested logic over bools and small ints."""
    if depth == 0 or draw(st.booleans()):
        value = draw(st.booleans())
        return lambda: tf.constant(value)
    kind = draw(st.sampled_from([*sorted(OPERATIONS), "not", "cast"]))
    left = draw(expressions(depth=depth - 1))
    right = draw(expressions(depth=depth - 1))
    if kind == "not":
        return lambda: tf.logical_not(left())
    if kind == "cast":
        return lambda: tf.cast(tf.identity(tf.cast(left(), tf.int32)), tf.bool)
    if kind in ("and", "or"):
        return lambda: OPERATIONS[kind](left(), right())
    return lambda: OPERATIONS[kind](tf.cast(left(), tf.int32), tf.cast(right(), tf.int32))


@settings(max_examples=60)
@given(expressions())
def test_known_values_are_what_a_session_computes(build):
    with tf.Graph().as_default() as graph:
        tensor = build()
        graph_def = graph.as_graph_def()
        with v1.Session() as session:
            expected = session.run(tensor)
    body = Body({node.name: node for node in graph_def.node}, [])
    found = value_of(body, tensor.op.name)
    assert found is not None
    assert bool(found) == bool(expected)


VECTORS = st.lists(st.booleans(), max_size=3) | st.booleans()


@settings(max_examples=100)
@given(VECTORS, VECTORS, st.sampled_from(["and", "or"]), st.sampled_from([None, 0, 1]))
def test_known_vectors_are_what_a_session_computes(left, right, kind, unknown):
    """A found value has the right elements; if an operand is unknown, all of them are equal."""
    values = [np.array(left, bool), np.array(right, bool)]
    with tf.Graph().as_default() as graph:
        operands = [tf.constant(value) for value in values]
        if unknown is not None:
            operands[unknown] = v1.placeholder(tf.bool)
        try:
            tensor = OPERATIONS[kind](*operands)
        except ValueError:
            return  # the shapes do not fit
        reduced = [tf.reduce_all(tensor), tf.reduce_any(tensor)]
        feeds = {} if unknown is None else {operands[unknown]: values[unknown]}
        with v1.Session() as session:
            try:
                expected = session.run([tensor, *reduced], feeds)
            except tf.errors.InvalidArgumentError:
                return
    body = Body({node.name: node for node in graph.as_graph_def().node}, [])
    found = [value_of(body, t.op.name) for t in [tensor, *reduced]]
    assert unknown is not None or found[0] is not None
    for ours, theirs in zip(found[: 1 if unknown is None else 0] + found[1:], expected):
        assert ours is None or np.array_equal(ours, theirs)
    if unknown is not None and found[0] is not None:
        assert np.all(expected[0] == found[0]) and values[1 - unknown].size == 1


@pytest.mark.parametrize("kind", ["and", "or"])
@pytest.mark.parametrize("other", [[True, True], [False, False], [True], True, False])
@pytest.mark.parametrize("use", [[True, False], [True, True], [False, False]])
def test_bound_vectors_decide_as_a_session_would(kind, other, use, graph, clean, tmp_path):
    path = str(tmp_path / "a.pb")
    x, on = v1.placeholder(tf.float32, [2], "x"), v1.placeholder(tf.bool, [2], "use")
    both = OPERATIONS[kind](on, tf.constant(other))
    for name, reduced in (("y", tf.reduce_all(both)), ("z", tf.reduce_any(both))):
        tf.identity(tf.cond(reduced, lambda: x + 1.0, lambda: x - 1.0), name=name)
    with v1.Session() as session:
        live = session.run(["y:0", "z:0"], {"x:0": [1.0, 2.0], "use:0": use})
        fh.freeze_session(session, path, ["y", "z"], bind={"use:0": use})
    ours = clean.run(path, {"x:0": np.float32([1.0, 2.0])}, ["y:0", "z:0"])
    assert [v.tolist() for v in ours] == [v.tolist() for v in live]


def training_graph():
    x = v1.placeholder(tf.float32, [None, 4], "x")
    on = v1.placeholder(tf.bool, [], "on")

    @tf.function
    def layer(t, w):
        return tf.nn.relu(tf.matmul(t, w)) + 1.0

    w = v1.get_variable("w", [4, 4], use_resource=True)
    h = tf.cond(on, lambda: layer(x, w) * 2.0, lambda: layer(layer(x, w), w))
    tf.identity(h, name="y")


def compiled(graph, **spec):
    def shape_of(name):
        return tuple(graph.get_tensor_by_name(name).shape.as_list())

    return compile_plan(graph.as_graph_def(), FreezeSpec.make(**spec), shape_of)


def test_a_plan_leaves_its_graph_def_alone_and_is_always_the_same(graph):
    training_graph()
    graph_def = graph.as_graph_def()
    before = graph_def.SerializeToString(deterministic=True)
    spec = FreezeSpec.make(["y"], bind={"on:0": True})
    plans = [compile_plan(graph_def, spec, lambda name: None) for _ in range(2)]
    assert graph_def.SerializeToString(deterministic=True) == before
    assert plans[0].pieces == plans[1].pieces


def test_functions_survive_a_round_trip(graph, tmp_path):
    training_graph()
    graph_def = graph.as_graph_def()
    library = Library(graph_def.library)
    names = [f.signature.name for f in graph_def.library.function]
    assert names
    for name in names:
        body = library.body(name)
        again = library.body(library.add(name, library.body(name)))
        assert list(again.args.values()) == list(body.args.values())
        assert again.outputs == body.outputs
        assert [n.SerializeToString(deterministic=True) for n in again.nodes.values()] == [
            n.SerializeToString(deterministic=True) for n in body.nodes.values()
        ]


def test_simplify_inlines_all_calls(graph):
    training_graph()
    graph_def = graph.as_graph_def()
    body = Body({node.name: node for node in graph_def.node}, ["y"])
    simple = simplify(body, Library(graph_def.library))
    assert not {n.op for n in simple.nodes.values()} & {
        "PartitionedCall",
        "StatefulPartitionedCall",
    }


def test_bound_values_decide_the_size(graph):
    training_graph()
    sizes = {on: compiled(graph, outputs=["y"], bind={"on:0": on}).ops for on in (True, False)}
    assert sizes[True]["MatMul"] == 1
    assert sizes[False]["MatMul"] == 2
    assert "Placeholder" in sizes[True] and sizes[True]["Placeholder"] == 1


def test_friendly_names_step_in_front_of_others(graph):
    x = v1.placeholder(tf.float32, [2], "x")
    tf.add(x, 1.0, name="y")
    tf.multiply(graph.get_tensor_by_name("y:0"), 2.0, name="z")
    plan = compiled(graph, outputs={"y": "z:0", "same": "z"}, inputs={"z": "x"})
    graph_def = GraphDef()
    for piece in plan.pieces:
        if isinstance(piece, bytes):
            graph_def.MergeFromString(piece)
        else:
            graph_def.node.add().MergeFromString(piece.node)
    with tf.Graph().as_default() as fresh:
        tf.import_graph_def(graph_def, name="")
        with v1.Session(graph=fresh) as session:
            y, same = session.run(["y:0", "same:0"], {"z:0": np.array([1.0, 2.0])})
    assert y.tolist() == same.tolist() == [4.0, 6.0]
    assert [i.name for i in plan.signature.inputs] == ["z"]
    assert [o.name for o in plan.signature.outputs] == ["y", "same"]

"""Truncated, foreign and hostile files: an error that names the file, or a right answer."""

import json

import pytest
import tensorflow as tf
from control_flow import control_flow
from frozen_files import read_graph_def
from hypothesis import given, settings
from hypothesis import strategies as st

import freeze_hooks as fh
from freeze_hooks.frozen.wire import DESCRIPTION

v1 = tf.compat.v1
# Older protobufs warn, and stop in the middle of the data.
pytestmark = pytest.mark.filterwarnings("ignore:Unexpected end-group tag")


@pytest.fixture(scope="module", params=["control_flow_v1", "control_flow_v2"])
def frozen(request, tmp_path_factory):
    """Return a small file with two outputs; the first output is not the last node."""
    path = tmp_path_factory.mktemp("frozen") / "modèle.pb"
    v2 = request.param.endswith("v2")
    with control_flow(v2), tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 2], name="in/x")
        y = tf.matmul(x, v1.get_variable("w", [2, 3], use_resource=True), name="y")
        on = v1.placeholder_with_default(True, [], name="on")
        z = tf.cond(on, lambda: tf.reduce_sum(y), lambda: tf.reduce_mean(y))
        session.run(v1.global_variables_initializer())
        fh.freeze_session(session, str(path), {"y": y, "z": z})
    return path


def test_what_a_report_holds_has_public_types(frozen):
    report = fh.inspect(str(frozen))
    assert isinstance(report.signature, fh.Signature)
    both = report.signature.inputs + report.signature.outputs
    assert len(both) == 4 and all(isinstance(info, fh.TensorInfo) for info in both)
    assert all(isinstance(finding, fh.Finding) for finding in report.findings)
    found = fh.Finding("unfed", ("a", "b"), "placeholders without a value", "feed them")
    assert str(found) == "placeholders without a value: a, b; feed them"


def node(op, name, *inputs, **attrs):
    made = v1.NodeDef(op=op, name=name, input=inputs)
    for key, value in attrs.items():
        made.attr[key].CopyFrom(value)
    return made


def placeholder(name, dtype, shape):
    made = node("Placeholder", name)
    made.attr["dtype"].type = tf.as_dtype(dtype).as_datatype_enum
    made.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
    return made


def identity(name, above, dtype="float32"):
    made = node("Identity", name, above)
    made.attr["T"].type = tf.as_dtype(dtype).as_datatype_enum
    return made


FLOAT = v1.AttrValue(type=1)


def const(name, value):
    made = node("Const", name)
    made.attr["value"].tensor.CopyFrom(v1.make_tensor_proto(value))
    made.attr["dtype"].type = made.attr["value"].tensor.dtype
    return made


def save(directory, nodes, description=None):
    """Return the path of a file of these nodes; the description, if any, is on the last node."""
    graph_def = v1.GraphDef(node=nodes)
    if description is not None:
        raw = isinstance(description, bytes)
        text = description if raw else json.dumps(description).encode()
        graph_def.node[-1].attr[DESCRIPTION].s = text
    path = directory / "hand.pb"
    path.write_bytes(graph_def.SerializeToString())
    return path


BOTH = pytest.mark.parametrize("read", [fh.load_frozen, fh.inspect], ids=["load", "inspect"])


@BOTH
def test_truncated_at_every_byte(frozen, tmp_path, read):
    whole = frozen.read_bytes()
    path = tmp_path / "cut.pb"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(fh.InvalidFileError) as caught:
            read(path)
        assert str(path) in str(caught.value)
    path.write_bytes(whole)
    read(path)


@BOTH
@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"\0" * 100, b"a sentence, not a graph", b"\x0a", bytes(range(256)), b"PK\3\4zip"],
    ids=lambda content: ascii(content)[:20],
)
def test_no_graph(tmp_path, read, content):
    path = tmp_path / "m.pb"
    path.write_bytes(content)
    with pytest.raises(fh.InvalidFileError):
        read(path)


@BOTH
def test_stray_end_of_a_group(tmp_path, read):
    path = save(tmp_path, X_TO_Y)
    whole = path.read_bytes()
    path.write_bytes(whole + b"\x0c" + whole)
    with pytest.raises(fh.InvalidFileError):
        read(path)


@BOTH
def test_text_format(frozen, tmp_path, read):
    path = tmp_path / "m.pbtxt"
    path.write_text(str(read_graph_def(frozen)))
    with pytest.raises(fh.InvalidFileError):
        read(path)


@BOTH
def test_no_file(tmp_path, read):
    with pytest.raises(OSError):
        read(tmp_path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.pb")


X_TO_Y = [placeholder("x", "float32", (2,)), identity("y", "x")]
GOOD = {
    "inputs": [{"name": "x", "tensor": "x:0", "dtype": "float32", "shape": [2]}],
    "outputs": [{"name": "y", "tensor": "y:0", "dtype": "float32", "shape": None}],
}


def but(**changes):
    """Return a description with these changes in its output; the value `but` leaves a key out."""
    end = {k: v for k, v in dict(GOOD["outputs"][0], **changes).items() if v is not but}
    return {"signature": dict(GOOD, outputs=[end])}


BROKEN = [
    b"", b"{", b"null", b"\xff\xfe{}", b"[" * 100000, [], {}, 7, "text", {"format": 1},
    {"format": 2, "signature": GOOD}, {"format": None, "signature": GOOD},
    {"signature": None}, {"signature": []}, {"signature": "inputs"}, {"signature": {"inputs": []}},
    {"signature": dict(GOOD, inputs=None)}, {"signature": dict(GOOD, inputs=3)},
    {"signature": dict(GOOD, inputs=["x"])}, {"signature": dict(GOOD, inputs={"x": "x:0"})},
    but(name=but), but(tensor=but), but(dtype=but), but(shape=but), but(name=1), but(name=None),
    but(tensor=["y"]), but(tensor=0), but(dtype=1), but(shape=3), but(shape="2"), but(shape=[1.5]),
    but(shape=[[2]]), but(shape=["2"]), but(tensor="z:0"), but(tensor="y:z"), but(tensor=""),
]  # fmt: skip


@BOTH
@pytest.mark.parametrize("description", BROKEN, ids=lambda broken: ascii(broken)[:70])
def test_broken_description(tmp_path, read, description):
    with pytest.raises(fh.InvalidFileError, match=r"hand\.pb"):
        read(save(tmp_path, X_TO_Y, description))


def test_good_description(tmp_path):
    """The broken descriptions are changed copies of this one."""
    path = save(tmp_path, X_TO_Y, {"signature": GOOD, "more": 1})
    with fh.load_frozen(path) as model:
        assert model(x=[1, 2])["y"].tolist() == [1, 2]
    (end,) = fh.inspect(path).signature.inputs
    assert (end.name, end.tensor, end.dtype, end.shape) == ("x", "x:0", "float32", (2,))


@pytest.mark.parametrize("tensor", ["y:1", "y:-1", "y"])
def test_description_names_no_tensor(tmp_path, tensor):
    with pytest.raises(fh.InvalidFileError):
        fh.load_frozen(save(tmp_path, X_TO_Y, but(tensor=tensor)))


@BOTH
@pytest.mark.parametrize(
    "nodes, said",
    [
        ([identity("a", "b"), identity("b", "a")], "'a' and 'b' wait|'b' and 'a' wait"),
        ([identity("a", "a")], "'a' and 'a' wait"),
        (X_TO_Y + [identity("z", "y", "float32"), identity("y", "x")], "share a name"),
        ([identity("y", "gone")], "'y' takes input 'gone'"),
        ([placeholder("x", "float32", ()), node("NoOp", "n", "^gone")], r"'\^gone'"),
        ([identity("y", "x:first"), placeholder("x", "float32", ())], "first"),
        ([node("Switch", "s", "a", "p", T=FLOAT), identity("a", "s"), identity("p", "p")], "wait"),
    ],
)
def test_graphs_that_contradict_themselves(tmp_path, read, nodes, said):
    with pytest.raises(fh.InvalidFileError, match=said):
        read(save(tmp_path, nodes))


@pytest.mark.parametrize("dtype, source", [(1, "gone:y:0"), (0, "gone:y:0"), (1, "")])
def test_functions_that_contradict_themselves(tmp_path, dtype, source):
    path = save(tmp_path, X_TO_Y)
    graph_def = read_graph_def(path)
    function = graph_def.library.function.add()
    function.signature.name = "f"
    function.signature.output_arg.add(name="out", type=dtype)
    function.ret["out"] = source
    path.write_bytes(graph_def.SerializeToString())
    with pytest.raises(fh.InvalidFileError, match=r"hand\.pb is truncated or broken"):
        fh.inspect(path)


def test_nodes_without_their_inputs(tmp_path):
    nodes = [placeholder("x", "float32", ()), node("Identity", "p", T=FLOAT)]
    with pytest.raises(fh.InvalidFileError, match=r"hand\.pb is truncated or broken"):
        fh.inspect(save(tmp_path, nodes))


@BOTH
def test_a_node_that_claims_many_tensors(tmp_path, read):
    """A file of a few bytes must not make the reader use gigabytes."""
    split = node("Split", "s", "axis", "x", T=FLOAT)
    split.attr["num_split"].i = 1 << 40
    nodes = [const("axis", 0), placeholder("x", "float32", (2,)), split]
    with pytest.raises(fh.InvalidFileError, match=r"hand\.pb.*claims 1,099,511,627,776 tensors"):
        read(save(tmp_path, nodes))


def test_graphs_that_this_tensorflow_cannot_import(tmp_path):
    wrong_type = [identity("y", "x", "int32")] + X_TO_Y[:1]
    unknown = save(tmp_path, [node("NoSuchOp", "n")])
    assert fh.inspect(unknown).ops == {"NoSuchOp": 1}
    for nodes in ([node("NoSuchOp", "n")], wrong_type):
        with pytest.raises(fh.InvalidFileError, match="cannot be imported"):
            fh.load_frozen(save(tmp_path, nodes))


EDIT = st.tuples(st.integers(0, 5000), st.integers(0, 40), st.binary(max_size=5))


@settings(max_examples=300)
@given(edits=st.lists(EDIT, min_size=1, max_size=3))
def test_damaged_files(frozen, tmp_path, edits):
    """Whichever bytes are lost, changed or added, the only error is InvalidFileError."""
    data = frozen.read_bytes()
    for at, lost, new in edits:
        data = data[: at % len(data)] + new + data[at % len(data) + lost :]
    path = tmp_path / "damaged.pb"
    path.write_bytes(data)
    try:
        fh.inspect(path)
    except fh.InvalidFileError as error:
        assert str(path) in str(error)

"""Feeds of load_frozen: a value that an input's dtype cannot hold is refused, and the error names
the input. A model with one input takes its value without a name."""

import fractions

import numpy as np
import pytest
import tensorflow as tf

import freeze_hooks as fh

v1 = tf.compat.v1
INFINITE, NOT_A_NUMBER = float("inf"), float("nan")
HELD = {
    "float32": [1, True, 2**24, -(2**24), 2**70, 0.1, 1e-50, np.float64(1 / 3), 3 + 0j]
    + [INFINITE, NOT_A_NUMBER, np.uint64(2**63), np.longdouble(0.25), fractions.Fraction(1, 4)],
    "float16": [2048, 65504, 0.1, 1e-9],
    "bfloat16": [256, 0.1, 1e38],
    "float64": [2**53, 1e308, np.float32(0.1)],
    "complex64": [1, 1 + 2j, 2**24, complex(0, INFINITE)],
    "int32": [True, 7.0, 2**31 - 1, -(2**31), 5 + 0j],
    "int64": [2**63 - 1, -(2**63), -(2.0**63), np.uint64(3)],
    "uint8": [0, 255, np.float32(3)],
    "bool": [True, 0, 1.0],
    "string": ["é", b"a\0"],
}
REFUSED = {
    "float32": [1 + 2j, 2**24 + 1, -(2**24) - 1, 2**70 + 1, 10**400, np.int64(2**63 - 1)]
    + [1e39, -1e300, "1", b"1", None, np.datetime64("2020-01-01"), object()],
    "float16": [2049, 65520, 70000.0],
    "bfloat16": [257, 3.4e38],
    "float64": [2**53 + 1, np.uint64(2**64 - 1), 1j],
    "complex64": [2**24 + 1, 1e39, complex(0, 1e39), "1"],
    "int32": [1.5, 2**31, NOT_A_NUMBER, INFINITE, 2**70, 1j, "1", None, np.float32(2**31)],
    "int64": [2**63, 2.0**63, np.uint64(2**63), 1e30],
    "uint8": [256, -1, 0.5, 1j],
    "bool": [2, -1, 0.5, NOT_A_NUMBER, "no"],
    "string": [1, True, 0.5, None],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return {dtype: a frozen file whose output "held" is its only input "given"}."""
    directory = tmp_path_factory.mktemp("dtypes")
    for dtype in HELD:
        with tf.Graph().as_default(), v1.Session() as session:
            given = v1.placeholder(dtype, None, "given")
            path = str(directory / dtype) + ".pb"
            fh.freeze_session(session, path, {"held": tf.identity(given)})
    return {dtype: str(directory / dtype) + ".pb" for dtype in HELD}


def shown(values):
    return [(dtype, value) for dtype in values for value in values[dtype]]


@pytest.mark.parametrize("dtype", list(HELD))
def test_what_a_dtype_holds(files, dtype):
    with fh.load_frozen(files[dtype]) as model:
        for value in HELD[dtype]:
            (held,) = model(given=[value])["held"]
            if dtype == "string":
                assert held == (value.encode() if isinstance(value, str) else value)
            elif dtype.startswith(("int", "uint", "bool")):
                assert int(held) == int(value.real)
            else:
                rounding = {"float16": 1e-3, "bfloat16": 1e-2}.get(dtype, 1e-7)
                wide = np.complex128 if "complex" in dtype else np.float64
                expected = wide(complex(value) if "complex" in dtype else complex(value).real)
                if isinstance(value, int):
                    assert complex(held) == value
                np.testing.assert_allclose(wide(held), expected, rounding, 1e-8)


@pytest.mark.parametrize("dtype", list(REFUSED))
def test_what_a_dtype_cannot_hold(files, dtype):
    with fh.load_frozen(files[dtype]) as model:
        for value in REFUSED[dtype]:
            for feed in (value, [value], np.array([[value]])):
                with pytest.raises(fh.FreezeError, match=r"\bgiven is \w+, which cannot hold"):
                    model(given=feed)


def test_the_first_element_that_is_not_held_is_told(files):
    ids = np.zeros([2, 3], np.int64)
    ids[1, 2] = 2**24 + 1
    with fh.load_frozen(files["float32"]) as model:
        with pytest.raises(fh.FreezeError, match=r"hold 16777217 \(at \[1, 2\]\): cast it before"):
            model(given=ids)
        assert model(given=ids.astype(np.float32))["held"][1, 2] == 2**24  # the user has cast it
        assert model(given=np.zeros([0], np.int64))["held"].shape == (0,)


@pytest.mark.parametrize("dtype", ["float32", "string", "int64"])
def test_one_input_needs_no_name(files, dtype):
    value = np.array([["a"]] if dtype == "string" else [[1]])
    with fh.load_frozen(files[dtype]) as model:
        named, plain = model(given=value)["held"], model(value)["held"]
        assert plain.tolist() == named.tolist() == model({"given": value})["held"].tolist()
        with pytest.raises(fh.FreezeError, match=r"it takes 1 inputs, by name: model\(given="):
            model(value, value)


def test_several_inputs_need_names(tmp_path):
    with tf.Graph().as_default(), v1.Session() as session:
        ends = [v1.placeholder(tf.float32, [], name) for name in ("feeds", "b", "scope/c")]
        fh.freeze_session(session, str(tmp_path / "m.pb"), {"sum": tf.add_n(ends)})
    with fh.load_frozen(tmp_path / "m.pb") as model:
        assert model({"scope/c": 1}, feeds=2, b=4)["sum"] == 7
        for given in ((1.0,), (1.0, 2.0, 4.0)):
            with pytest.raises(fh.FreezeError, match=r"3 inputs, by name: .*'scope/c': \.\.\."):
                model(*given)


@pytest.mark.skipif(tf.__version__.startswith("1."), reason="eager tensors are TensorFlow 2's")
def test_eager_tensors_are_values(files):
    with fh.load_frozen(files["int64"]) as model:
        assert model(tf.constant([3]))["held"].tolist() == [3]
        with pytest.raises(fh.FreezeError, match=r"cannot hold 0\.5"):
            model(tf.constant([0.5]))


@pytest.mark.parametrize(
    "value, dtype",
    [(2**40, tf.int32), (1.5, tf.int64), (2**24 + 1, tf.float32), (1e60, tf.float32)],
)
def test_bound_values_that_the_tensor_cannot_hold(value, dtype, graph, tmp_path):
    v1.placeholder(dtype, [], name="k")
    tf.cast(graph.get_tensor_by_name("k:0"), tf.float64, name="y")
    with v1.Session() as session, pytest.raises(fh.FreezeError, match=r"'k:0' is .* cannot hold"):
        fh.freeze_session(session, str(tmp_path / "m.pb"), ["y"], bind={"k:0": value})

"""The ops that are known without TensorFlow are the same in the installed TensorFlow."""

import pytest
import tensorflow as tf

from freeze_hooks import _tf
from freeze_hooks.graph import op_registry

OPS = op_registry.common_ops()
NEWEST = tf.__version__.startswith("2.21.")  # of the versions in the file


def arguments(args):
    return [(a.name, a.type, a.type_attr, a.number_attr, a.type_list_attr, a.is_ref) for a in args]


@pytest.mark.parametrize("initial", sorted({op[0] for op in OPS}))
def test_a_common_op_is_tensorflows(initial):
    for op in (op for op in OPS if op.startswith(initial)):
        ours, theirs = op_registry.parsed(OPS[op]), _tf.op_def(op)
        if OPS[op].endswith("# newest") and not (NEWEST and theirs):
            continue  # other versions have another definition, or none
        assert theirs is not None, op
        assert ours.name == op and ours.is_stateful == theirs.is_stateful
        assert arguments(ours.input_arg) == arguments(theirs.input_arg)
        assert arguments(ours.output_arg) == arguments(theirs.output_arg)
        known = {attr.name: attr for attr in theirs.attr}
        for attr in ours.attr:
            other = known.pop(attr.name)
            assert attr.type == other.type
            assert attr.HasField("default_value") == other.HasField("default_value")
            assert attr.default_value == other.default_value
        # an attribute of a later version has a default, so it may be missing
        assert all(attr.HasField("default_value") for attr in known.values()), op
        assert _tf.comes_with_tensorflow(op)


def test_where_tensorflow_is_there_it_is_asked():
    assert op_registry.op_def("MatMul") == _tf.op_def("MatMul")
    assert op_registry.op_def("NoSuchOp") is None
    assert not op_registry.comes_with_tensorflow("NoSuchOp")
    assert hasattr(tf.raw_ops, "MatMul")

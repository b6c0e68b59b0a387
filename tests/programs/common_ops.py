"""Writes freeze_hooks/graph/common_ops.pbtxt from the ops of several TensorFlow versions.

    python1.15 tests/programs/common_ops.py --dump 1.15.ops
    python2.15 tests/programs/common_ops.py --dump 2.15.ops
    python2.21 tests/programs/common_ops.py --dump 2.21.ops
    python2.21 tests/programs/common_ops.py 1.15.ops 2.15.ops 2.21.ops

The oldest version comes first. An op that differs between the versions, or is missing in one, has
the newest definition, and its line ends with NEWEST.
"""

import os
import sys

from tensorflow.core.framework import op_def_pb2

NEWEST = " # newest"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH = os.path.join(ROOT, "freeze_hooks", "graph", "common_ops.pbtxt")


def dump(path):
    """Write the OpList of the installed TensorFlow."""
    try:
        from tensorflow.python.client import pywrap_tf_session as api

        data = api.TF_GetBuffer(api.TF_GetAllOpList())
    except (ImportError, AttributeError):
        from tensorflow.python import pywrap_tensorflow as api

        data = api.TF_GetBuffer(api.TF_GetAllOpList())
    from freeze_hooks import _tf

    ops = op_def_pb2.OpList.FromString(data).op
    own = [op for op in ops if _tf.comes_with_tensorflow(op.name)]  # some are of its tests
    with open(path, "wb") as file:
        file.write(op_def_pb2.OpList(op=own).SerializeToString())


def cleaned(op, later=()):
    """Return an OpDef with what a graph's nodes depend on, without attributes in `later`."""
    found = op_def_pb2.OpDef(name=op.name, is_stateful=op.is_stateful)
    for kept, given in ((found.input_arg, op.input_arg), (found.output_arg, op.output_arg)):
        for arg in given:
            new = kept.add()
            for field in ("name", "type", "type_attr", "number_attr", "type_list_attr", "is_ref"):
                setattr(new, field, getattr(arg, field))
    for attr in op.attr:
        if attr.name not in later:
            new = found.attr.add(name=attr.name, type=attr.type)
            if attr.HasField("default_value"):
                new.default_value.CopyFrom(attr.default_value)
    return found


def merged(lists):
    """Yield (OpDef, whether all versions agree on it) of each op, by name."""
    names = sorted({name for ops in lists for name in ops if not name.startswith("_")})
    for name in names:
        known = [ops[name] for ops in lists if name in ops]
        shared = set.intersection(*({attr.name for attr in op.attr} for op in known))
        later = {attr.name for attr in known[-1].attr} - shared
        optional = all(
            a.HasField("default_value") for op in known for a in op.attr if a.name not in shared
        )
        forms = {
            cleaned(op, {a.name for a in op.attr} - shared).SerializeToString() for op in known
        }
        if len(known) == len(lists) and len(forms) == 1 and optional:
            yield cleaned(known[-1], later), True
        else:
            yield cleaned(known[-1]), False


def main(paths):
    """Write the file."""
    from google.protobuf import text_format

    lists = []
    for path in paths:
        with open(path, "rb") as file:
            ops = op_def_pb2.OpList.FromString(file.read()).op
        lists.append({op.name: op for op in ops})
    with open(PATH, "w") as file:
        for op, agreed in merged(lists):
            text = text_format.MessageToString(op, as_one_line=True)
            file.write(f"op {{ {text} }}" + ("" if agreed else NEWEST) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "--dump":
        dump(sys.argv[2])
    else:
        main(sys.argv[1:])

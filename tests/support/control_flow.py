"""Which control flow a graph is built with."""

import contextlib

import tensorflow as tf

v1 = tf.compat.v1


@contextlib.contextmanager
def control_flow(v2):
    """Conditionals and loops are built as functions, or as TensorFlow 1 does by default."""
    before = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if v2 else v1.disable_control_flow_v2)()
    try:
        yield
    finally:
        (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()

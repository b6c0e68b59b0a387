"""Graphs of tf.distribute: one replica's computation, with the values that a checkpoint saves."""

import pytest
import tensorflow as tf
from frozen_files import constants
from small import assert_bit_equal

import freeze_hooks as fh

v1 = tf.compat.v1


@pytest.mark.parametrize("values", ["live", "checkpoint"])
def test_variables_that_differ_between_replicas_until_they_are_saved(values, graph, tmp_path):
    """The moving averages of a batch normalization are such variables."""
    devices = ["/cpu:0", "/cpu:1"]
    with tf.distribute.MirroredStrategy(devices).scope():
        weight = v1.get_variable("weight", initializer=[2.0, 3.0])
        average = v1.get_variable(
            "average",
            initializer=[0.0, 0.0],
            trainable=False,
            synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.MEAN,
        )
    x = v1.placeholder(tf.float32, [None, 2], "x")
    tf.add(x * weight.values[0], average.values[0], name="y")
    first, second = average.values
    count = v1.assign_add(v1.train.get_or_create_global_step(), 1)
    step = tf.group(first.assign_add([1.0, 2.0]), second.assign_add([2.0, 4.0]), count)
    hook = fh.FreezeHook(["y"], values=values, verify=True, strict=True)
    with v1.train.MonitoredTrainingSession(
        checkpoint_dir=str(tmp_path),
        save_checkpoint_steps=1,
        hooks=[hook],
        config=v1.ConfigProto(device_count={"CPU": 2}),
    ) as session:
        session.run(step)
    path = hook.artifacts[-1].path
    assert constants(path)["average"].tolist() == [1.5, 3.0]
    assert_bit_equal(path, path[:-3])

"""`ema=` finds the averages, whichever variable scope they were created in."""

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import constants

import freeze_hooks as fh

v1 = tf.compat.v1


def net(resource, ema, scope):
    """Build a net with two variables of the same last name; return one and its average's update."""
    x = v1.placeholder(tf.float32, [None, 2], "x")
    with v1.variable_scope("net", use_resource=resource):
        w = v1.get_variable("w", initializer=[1.0, 2.0])
    with v1.variable_scope("head/net", use_resource=resource):
        other = v1.get_variable("w", initializer=[3.0, 4.0])
    tf.identity(x * w + other, name="y")
    with v1.variable_scope(scope):
        update = ema.apply([w])
    return w, update


@pytest.mark.parametrize("resource", [False, True], ids=["ref", "resource"])
@pytest.mark.parametrize("scope", ["outer", "a/b"])
@pytest.mark.parametrize(
    "more", [{}, {"name": "mine", "zero_debias": True}], ids=["plain", "named"]
)
def test_averages_in_a_scope(more, scope, resource, graph, tmp_path):
    ema = tf.train.ExponentialMovingAverage(0.5, **more)
    w, update = net(resource, ema, scope)
    again = tf.train.ExponentialMovingAverage(0.5, **more)
    with v1.Session() as session:
        session.run(v1.variables_initializer(v1.trainable_variables()))  # averages start from them
        session.run(v1.global_variables_initializer())
        session.run(v1.assign(w, [9.0, 8.0]))
        session.run(update)
        average, raw = session.run([ema.average(w), w])
        assert not np.array_equal(average, raw)
        prefix = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        for given in (ema, again):
            path = str(tmp_path / "session.pb")
            fh.freeze_session(session, path, ["y"], ema=given, verify=True)
            assert_holds(path, average)
    fh.freeze_checkpoint(prefix, str(tmp_path / "saved.pb"), ["y"], ema=again)
    assert_holds(str(tmp_path / "saved.pb"), average)


def assert_holds(path, average):
    held = constants(path)
    np.testing.assert_array_equal(held["net/w"], average)
    np.testing.assert_array_equal(held["head/net/w"], [3.0, 4.0])


def test_a_function_that_names_no_average_is_told_of(graph):
    net(True, tf.train.ExponentialMovingAverage(0.5), "outer")
    wrong = lambda name: name + "/ExponentialMovingAverage"  # noqa: E731
    hook = fh.FreezeHook(["y"], ema=wrong)
    with pytest.raises(fh.UnknownNameError, match="outer/net/w/ExponentialMovingAverage"):
        hook.begin()


def test_two_scopes_are_refused(graph, tmp_path):
    ema = tf.train.ExponentialMovingAverage(0.5)
    w, _ = net(True, ema, "one")
    with v1.variable_scope("two"):
        tf.train.ExponentialMovingAverage(0.5).apply([w])
    with v1.Session() as session:
        session.run(v1.variables_initializer(v1.trainable_variables()))
        session.run(v1.global_variables_initializer())
        prefix = v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
    with pytest.raises(fh.FreezeError, match="one/, two/"):
        fh.freeze_checkpoint(prefix, str(tmp_path / "x.pb"), ["y"], ema=ema)

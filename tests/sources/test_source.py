"""A source writes the values at the time of `prepare` if it holds them, else those at the write."""

import numpy as np
import pytest
import tensorflow as tf
from frozen_files import constants
from small import FEEDS, FREEZE, build

from freeze_hooks.plan.spec import FreezeSpec
from freeze_hooks.sources.session import LiveGraph
from freeze_hooks.sources.source import CHECKPOINT, Source
from freeze_hooks.training.background import held

v1 = tf.compat.v1


def weights(session):
    (variable,) = [v for v in v1.trainable_variables() if v.op.name == "net/w"]
    return session.run(variable)


@pytest.fixture
def trained(graph):
    """Yield a session, its source, and a function that trains for one step."""
    train_op = build()
    live = LiveGraph(graph, FreezeSpec.make(**FREEZE))
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        yield session, live.source(session, 7), lambda: session.run(train_op, FEEDS)


@pytest.mark.parametrize("hold", [True, False])
def test_a_file_has_the_values_of_its_moment(trained, tmp_path, hold):
    session, source, train = trained
    before = weights(session)
    values = held(source.at_once) if hold else None
    write = source.prepare({"loss": 0.5}, values=values)
    train()
    artifact = write(str(tmp_path / "m.pb"))
    expected = before if hold else weights(session)
    np.testing.assert_array_equal(constants(artifact.path)["net/w"], expected)
    assert artifact.step == 7 and artifact.metrics == {"loss": 0.5}


def test_values_that_were_read_before(trained, tmp_path):
    session, source, train = trained
    before, values = weights(session), held(source.at_once)
    train()
    artifact = source.prepare(step=8, values=values)(str(tmp_path / "m.pb"))
    np.testing.assert_array_equal(constants(artifact.path)["net/w"], before)
    assert artifact.step == 8


def test_held_values_are_freed_one_by_one(trained):
    values = held(trained[1].at_once)
    first = next(values)
    assert b"".join(first.chunks) and len(list(values)) == 1


def test_a_source_may_lack_values(trained, tmp_path):
    plan = trained[1].plan
    empty = Source(plan, lambda: iter(()), origin=CHECKPOINT)
    with pytest.raises((StopIteration, RuntimeError)):
        empty.freeze(str(tmp_path / "m.pb"))
    assert not list(tmp_path.iterdir())

"""A program of TensorFlow 1's time: a Supervisor whose timer saves while the main thread trains.

    supervisor.py DIRECTORY

Its variables change alike at each step, so that a torn read shows as two different numbers.
"""

import sys
import time

import tensorflow as tf

import freeze_hooks as fh

v1 = tf.compat.v1
v1.disable_eager_execution()  # else TensorFlow 2 has no graph in the timer's thread

step = v1.train.get_or_create_global_step()
shape = [200000]
variables = [v1.get_variable(f"v{i}", shape, initializer=v1.zeros_initializer()) for i in range(4)]
updates = [v1.assign_add(v, tf.ones(shape)) for v in variables]
tf.add_n(variables, name="total")
with tf.control_dependencies(updates):
    train_op = v1.assign_add(step, 1).op

saver = fh.FreezingSaver(["total"], max_to_keep=0, strict=True)
supervisor = v1.train.Supervisor(
    logdir=sys.argv[1], saver=saver, save_model_secs=1, summary_op=None
)
with supervisor.managed_session() as session:
    end = time.time() + 300
    while len(saver.artifacts) < 4 and time.time() < end and not supervisor.should_stop():
        session.run(train_op)
print(*(fh.inspect(a.path).metadata["values"] for a in saver.artifacts))

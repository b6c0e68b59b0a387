"""Saves steps FIRST to LAST with keep=2 in DIRECTORY, and is killed as LAST.pb gets its name.

    killed_at_rename.py DIRECTORY FIRST LAST PLACE

PLACE is "after" or "before" that, or "never".
"""

import os
import signal
import sys

import tensorflow as tf

import freeze_hooks as fh

v1 = tf.compat.v1
directory, first, last, place = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
rename = os.replace


def replace(source, target, **more):
    fatal = str(target).endswith(f"-{last}.pb")
    if fatal and place == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target, **more)
    if fatal and place == "after":
        os.kill(os.getpid(), signal.SIGKILL)


os.replace = replace
with tf.Graph().as_default(), v1.Session() as session:
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    step = v1.get_variable("step", [3], initializer=v1.zeros_initializer())
    tf.add(x, step, name="y")
    saver = fh.FreezingSaver(["y"], keep=2, max_to_keep=1)
    for i in range(first, last + 1):
        step.load([i] * 3, session)
        saver.save(session, os.path.join(directory, "model"), global_step=i)

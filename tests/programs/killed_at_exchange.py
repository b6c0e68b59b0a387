"""Saves steps FIRST to LAST as one SavedModel, and is killed as the last one replaces another.

    killed_at_exchange.py DIRECTORY FIRST LAST PLACE VARIABLES

PLACE is "before" or "after" that; "aside", where the system cannot exchange two directories and
the old one has made room; or "never". VARIABLES is JSON for fh.SavedModel.
"""

import json
import os
import signal
import sys

import tensorflow as tf

import freeze_hooks as fh
from freeze_hooks.storage import exchange

v1 = tf.compat.v1
directory, first, last, place = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
form = fh.SavedModel(variables=json.loads(sys.argv[5]))
really, rename = exchange._exchanged, os.rename
saved = []


def exchanged(source, path):
    if saved[-1] == last and place == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    done = place != "aside" and really(source, path)
    if saved[-1] == last and place == "after":
        os.kill(os.getpid(), signal.SIGKILL)
    return done


def renamed(source, path):
    rename(source, path)
    if saved[-1] == last and path.endswith(".old"):
        os.kill(os.getpid(), signal.SIGKILL)


exchange._exchanged, os.rename = exchanged, renamed
with tf.Graph().as_default(), v1.Session() as session:
    x = v1.placeholder(tf.float32, [None, 3], name="x")
    step = v1.get_variable("step", [3], initializer=v1.zeros_initializer())
    tf.add(x, step, name="y")
    number = v1.train.get_or_create_global_step()
    session.run(v1.global_variables_initializer())
    saver = fh.FreezingSaver(["y"], format=form)
    for i in range(first, last + 1):
        saved.append(i)
        step.load([i] * 3, session)
        number.load(i, session)
        saver.save(session, os.path.join(directory, "model"))

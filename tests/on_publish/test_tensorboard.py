"""`inspect --tensorboard`: the graph as TensorBoard reads it, and as a browser shows it."""

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
import urllib.request

import chromium
import pytest
import tensorflow as tf
from click.testing import CliRunner

import freeze_hooks as fh
from freeze_hooks.cli.group import commands

v1 = tf.compat.v1
NAMES = ("features", "probabilities", "classifier")  # as the graph tab shows them
TEXTS = """
(() => {
  const found = [], stack = [document];
  while (stack.length) {
    const root = stack.pop();
    for (const element of root.querySelectorAll('*')) {
      if (element.shadowRoot) stack.push(element.shadowRoot);
      if (element.tagName === 'text') found.push(element.textContent.trim());
    }
  }
  return found;
})()
"""


@pytest.fixture
def events(graph, tmp_path):
    """A directory with the events that `inspect` wrote for a frozen file."""
    x = v1.placeholder(tf.float32, [None, 512], name="features")
    with v1.variable_scope("classifier"):
        logits = tf.matmul(x, v1.get_variable("w", [512, 3]))
    tf.nn.softmax(logits, name="probabilities")
    with v1.Session() as session:
        session.run(v1.global_variables_initializer())
        fh.freeze_session(session, str(tmp_path / "a.pb"), ["probabilities"])
    directory = tmp_path / "events"
    given = ["inspect", str(tmp_path / "a.pb"), "--tensorboard", str(directory)]
    done = CliRunner().invoke(commands, given)
    assert done.exit_code == 0, done.output
    return directory


def test_the_event_file(events):
    (name,) = os.listdir(str(events))
    graphs = [
        v1.GraphDef.FromString(event.graph_def)
        for event in v1.train.summary_iterator(str(events / name))
        if event.graph_def
    ]
    (graph_def,) = graphs
    ops = {node.name: node.op for node in graph_def.node}
    assert (ops["features"], ops["probabilities"]) == ("Placeholder", "Softmax")
    assert graph_def.ByteSize() < 2000  # without the weights' values
    weights = next(node for node in graph_def.node if node.name == "classifier/w")
    assert [dim.size for dim in weights.attr["value"].tensor.tensor_shape.dim] == [512, 3]


def serve(directory):
    """Start TensorBoard on a free port; return (process, its address)."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", "--logdir", str(directory)]
        + ["--port", "0", "--host", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    for line in process.stdout:
        found = re.search(rb"http://[^ ]+", line)
        if found:
            return process, found.group(0).decode()
    raise AssertionError("TensorBoard did not start")


@pytest.mark.skipif(
    importlib.util.find_spec("tensorboard") is None,
    reason="TensorFlow 2.21 comes without TensorBoard",
)
@chromium.needed
def test_in_a_browser(events, tmp_path):
    server, address = serve(events)
    try:
        run = json.loads(urllib.request.urlopen(address + "data/plugin/graphs/info").read())
        assert list(run) == ["."]
        with chromium.Page(tmp_path / "profile", address + "#graphs") as page:
            shown, end = "", time.time() + 300
            while not all(name in shown for name in NAMES) and time.time() < end:
                time.sleep(0.5)
                shown = " ".join(page.value(TEXTS) or ())
        assert all(name in shown for name in NAMES), shown
    finally:
        server.terminate()
        server.wait(60)

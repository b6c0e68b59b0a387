"""The command freeze-hooks, on the files of a net that was trained on digits."""

import json
import os
import pty
import re
import subprocess
import sys
import threading

import numpy as np
import pytest
import started
import tensorflow as tf
from click.testing import CliRunner
from frozen_files import constants
from places import ROOT
from sklearn.datasets import load_digits

import freeze_hooks as fh
from freeze_hooks.cli.group import commands
from freeze_hooks.storage import sink

v1 = tf.compat.v1
ASKED = ["--outputs", "probs", "--bind", "training=false"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Return a directory with a checkpoint and a file per 20 steps, a SavedModel and feeds."""
    directory = tmp_path_factory.mktemp("digits")
    data = load_digits()
    images, labels = (data.images.reshape(-1, 64) / 16).astype(np.float32), data.target
    with tf.Graph().as_default():
        v1.set_random_seed(1)
        x = v1.placeholder(tf.float32, [None, 64], name="x")
        y = v1.placeholder(tf.int64, [None], name="y")
        training = v1.placeholder(tf.bool, [], name="training")
        with v1.variable_scope("hidden"):
            w = v1.get_variable("w", [64, 32], initializer=v1.random_normal_initializer(0, 0.1))
            h = tf.nn.relu(tf.matmul(x, w))
        h = tf.cond(training, lambda: tf.nn.dropout(h, rate=0.2), lambda: tf.identity(h))
        with v1.variable_scope("out"):
            v = v1.get_variable("v", [32, 10], initializer=v1.random_normal_initializer(0, 0.1))
            logits = tf.matmul(h, v)
        probs = tf.nn.softmax(logits, name="probs")
        loss = v1.losses.sparse_softmax_cross_entropy(y, logits)
        step = v1.train.get_or_create_global_step()
        train = v1.train.AdamOptimizer(0.01).minimize(loss, global_step=step)
        hook = fh.FreezeHook(outputs=["probs"], bind={"training:0": False})
        saver = v1.train.Saver()
        with v1.train.MonitoredTrainingSession(
            checkpoint_dir=str(directory / "run"), save_checkpoint_steps=20, hooks=[hook]
        ) as session:
            for _ in range(40):
                session.run(train, {x: images, y: labels, training: True})
        plain = tf.nn.softmax(tf.matmul(tf.nn.relu(tf.matmul(x, w)), v), name="plain")
        with v1.Session() as session:
            saver.restore(session, str(directory / "run" / "model.ckpt-40"))
            answers = session.run(probs, {x: images[:5], training: False})
            v1.saved_model.simple_save(
                session, str(directory / "saved"), {"x": x}, {"probs": plain}
            )
    np.savez(str(directory / "feeds.npz"), x=images[:5])
    np.save(str(directory / "answers.npy"), answers)
    return directory


def run(*arguments, code=0):
    done = CliRunner().invoke(commands, [str(a) for a in arguments])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def program(*arguments, **env):
    clean = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-m", "freeze_hooks.cli", *map(str, arguments)],
        capture_output=True,
        env=dict(clean, PYTHONPATH=ROOT, **env),
        text=True,
    )


def same_constants(one, other):
    held, theirs = constants(one), constants(other)
    assert {"hidden/w", "out/v"} <= set(held)
    for name in ("hidden/w", "out/v"):
        np.testing.assert_array_equal(held[name], theirs[name])


def test_the_program(digits, tmp_path):
    """Piped output is plain: only its own lines, no colours, no frames, no log of TensorFlow."""
    out = tmp_path / "a.pb"
    done = program("freeze", digits / "run", *ASKED, "-o", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Froze step 40" in done.stdout and "probs" in done.stdout
    assert done.stdout.isascii() if hasattr(str, "isascii") else done.stdout.encode("ascii")
    assert "\x1b" not in done.stdout
    same_constants(out, digits / "run" / "model.ckpt-40.pb")
    wrong = program("inspect", str(out)[:-3] + ".pbb")
    assert wrong.returncode == 2 and wrong.stdout == ""
    assert wrong.stderr.count("\n") == 1 and str(out) in wrong.stderr
    warned = program("freeze", digits / "run", "--outputs", "probs", "-o", out)
    lines = warned.stderr.splitlines()
    assert lines and all(line.startswith("warning: ") for line in lines)
    assert any("--bind training:0=False" in line for line in lines)


def test_help_does_without_tensorflow():
    script = (
        "import sys; sys.argv = ['freeze-hooks', 'freeze', '--help']\n"
        "from freeze_hooks.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n"
        "    print([m for m in ('tensorflow', 'numpy', 'rich.table') if m in sys.modules], end)\n"
    )
    env = dict(os.environ, PYTHONPATH=ROOT)
    out = subprocess.check_output([sys.executable, "-c", script], env=env).decode()
    assert "--lower-control-flow" in out and out.endswith("[] 0\n")
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra_one_line_names_it(missing):
    script = f"import sys; sys.modules['{missing}'] = None; import freeze_hooks.cli as c; c.main()"
    env = dict(os.environ, PYTHONPATH=ROOT)
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert missing in done.stderr and "pip install 'freeze-hooks[cli]'" in done.stderr


def test_on_a_terminal(digits, tmp_path):
    """On a terminal of 80 columns, the progress of a write is shown, and then removed."""
    ours, theirs = pty.openpty()
    env = dict(os.environ, PYTHONPATH=ROOT, COLUMNS="80", TERM="xterm")
    command = ["freeze", str(digits / "run"), *ASKED, "-o", str(tmp_path / "a.pb")]
    process = subprocess.Popen(
        [sys.executable, "-m", "freeze_hooks.cli", *command],
        stdout=theirs,
        stderr=theirs,
        env=env,
        cwd=str(tmp_path),
    )
    os.close(theirs)
    seen = []

    def read():
        try:
            while True:
                seen.append(os.read(ours, 65536))
                if not seen[-1]:
                    return
        except OSError:  # Linux raises it at the end
            return

    reader = threading.Thread(target=read)
    reader.start()
    assert process.wait(300) == 0
    reader.join(60)
    os.close(ours)
    text = b"".join(seen).decode()
    assert "writing" in text and "Froze step 40" in text and "\x1b[" in text


def test_progress_counts_the_bytes_of_a_write(digits, tmp_path):
    told = []
    with sink.reporting(lambda done, expected: told.append((done, expected))):
        artifact = fh.freeze_files(
            digits / "run", tmp_path / "a.pb", ["probs"], bind={"training:0": False}
        )
    assert told[-1][0] == artifact.bytes and told == sorted(told)
    assert abs(told[-1][1] - artifact.bytes) < 4096
    del told[:]
    fh.freeze_files(digits / "run", tmp_path / "a.pb", ["probs"], bind={"training:0": False})
    assert told == []


def graph_files(digits):
    """Write the training's graph as a GraphDef, in text and in binary form."""
    meta = v1.MetaGraphDef()
    with open(str(digits / "run" / "model.ckpt-40.meta"), "rb") as file:
        meta.ParseFromString(file.read())
    tf.io.write_graph(meta.graph_def, str(digits), "graph.pbtxt")
    tf.io.write_graph(meta.graph_def, str(digits), "graph.pb", as_text=False)


@pytest.mark.parametrize(
    "source", ["run", "run/model.ckpt-40", "run/model.ckpt-40.meta", "graph.pb", "graph.pbtxt"]
)
def test_freeze_takes_what_the_drop_in_takes(source, digits, tmp_path):
    graph_files(digits)
    more = ["--checkpoint", digits / "run"] if source.startswith("graph") else []
    out = tmp_path / "a.pb"
    said = run("freeze", digits / source, *ASKED, *more, "--output", out)
    assert "Froze step 40" in said
    same_constants(out, digits / "run" / "model.ckpt-40.pb")
    report = run("check", digits / source, *ASKED, *more)
    assert "can be frozen" in report and "Findings: none" in report


def test_options_of_freeze(digits, tmp_path):
    out = tmp_path / "a.pb"
    more = ["--outputs", "p=probs,h=hidden/Relu", "--inputs", "image=x", "--weights", "bfloat16"]
    run("freeze", digits / "run", *more, "--bind", "training=False", "-o", out)
    report = fh.inspect(out)
    assert [end.name for end in report.signature.outputs] == ["p", "h"]
    assert [end.name for end in report.signature.inputs] == ["image"]
    assert report.weight_bytes < 2 * (64 * 32 + 32 * 10) + 100
    assert "2 of 2 equal" in run("verify", out, "--against", digits / "run")  # after rounding
    assert "bind" in run("freeze", digits / "run", "--bind", "training", "-o", out, code=2)


def test_a_saved_model(digits, tmp_path):
    out = tmp_path / "a.pb"
    run("freeze", digits / "saved", "-o", out)
    same_constants(out, digits / "run" / "model.ckpt-40.pb")
    said = run("verify", out, "--against", digits / "saved")
    assert "constants: 2 of 2 equal" in said and "outputs:" in said and "agrees" in said
    assert "'serving_default'" in run(
        "freeze", digits / "saved", "--signature", "serve", "-o", out, code=2
    )
    assert "likely" not in run("check", digits / "saved")


@pytest.mark.skipif(tf.__version__.startswith("1."), reason="came with TensorFlow 2")
def test_a_saved_model_of_tensorflow_2(tmp_path):
    program_of = """
import sys, tensorflow as tf
class M(tf.Module):
    def __init__(self):
        super().__init__()
        self.w = tf.Variable([[1.0], [2.0]], name="w")
    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
    def f(self, x):
        return {"y": x @ self.w}
m = M()
tf.saved_model.save(m, sys.argv[1], signatures=m.f)
"""
    saved, out = tmp_path / "saved", tmp_path / "a.pb"
    started.run(["-c", program_of, saved])
    assert "can be frozen" in run("check", saved)
    assert "Froze" in run("freeze", saved, "-o", out)
    assert "outputs: 1 of 1 equal" in run("verify", out, "--against", saved)


def test_inspect(digits, tmp_path):
    path = digits / "run" / "model.ckpt-40.pb"
    said = run("inspect", path)
    for text in ("?x64", "MatMul", "hidden", "8.2 kB", "Findings: none", "step", "40", "live"):
        assert text in said
    assert max(map(len, said.splitlines()[1:])) <= 80
    report = json.loads(run("inspect", path, "--json"))
    assert report["layers"]["hidden"] == 64 * 32 * 4 and report["layers"]["out"] == 32 * 10 * 4
    assert report["ops"]["MatMul"] == 2 and report["metadata"]["step"] == 40
    assert report["signature"]["inputs"][0]["shape"] == [None, 64]
    noisy = tmp_path / "noisy.pb"
    run("freeze", digits / "run", "--outputs", "probs", "-o", noisy)
    assert "random ops put noise into the answer" in run("inspect", noisy)


def test_signatures(digits, tmp_path):
    out, answers = tmp_path / "two.pb", tmp_path / "answers.npz"
    with fh.load_frozen(digits / "run" / "model.ckpt-40.pb") as model:
        graph_def = model.graph_def
    with tf.Graph().as_default(), v1.Session() as session:
        v1.import_graph_def(graph_def, name="")
        ends = {"hidden": {"h": "hidden/Relu"}}
        fh.freeze_session(session, str(out), ["probs"], signatures=ends)
        feeds = np.load(str(digits / "feeds.npz"))
        wanted = session.run("hidden/Relu:0", {"x:0": feeds["x"]})
    said = run("inspect", out)
    assert "Outputs of hidden" in said and "Outputs of serving_default" in said
    assert (
        json.loads(run("inspect", out, "--json"))["others"]["hidden"]["outputs"][0]["name"] == "h"
    )
    feeds = digits / "feeds.npz"
    run("run", out, "--feeds", feeds, "--out", answers, "--signature", "hidden")
    with np.load(str(answers)) as found:
        np.testing.assert_array_equal(found["h"], wanted)
    assert "outputs: 1 of 1 equal" in run("verify", out, "--against", out, "--signature", "hidden")
    run("run", out, "--feeds", feeds, "--signature", "hiden", code=2)
    saved = tmp_path / "saved"
    fh.freeze_files(out, str(saved), ["probs"], signatures=ends, format="saved_model")
    again = tmp_path / "again.pb"
    both = ["--signature", "serving_default", "--signature", "hidden"]
    run("freeze", saved, "-o", again, *both)
    with fh.load_frozen(again) as model:
        assert list(model.outputs) == ["probs"] and "hidden" in model.signatures
    run("freeze", saved, "-o", again, "--signature", "hidden")
    with fh.load_frozen(again) as model:
        assert list(model.outputs) == ["h"] and list(model.signatures) == ["serving_default"]
    said = run("freeze", saved, "-o", again, *both[2:], *both[:2], code=2)
    assert "let the SavedModel's 'serving_default' be the first one" in said


def test_metadata_and_assets(digits, tmp_path):
    out, labels = tmp_path / "a.pb", tmp_path / "labels.txt"
    labels.write_bytes(b"zero\r\none\xff")
    given = ["--metadata", "version=v1", "--metadata", "sizes=[1, 2]", "--metadata", "final=True"]
    given += ["--asset", f"in/labels.txt={labels}"]
    run("freeze", digits / "run", *ASKED, *given, "-o", out)
    wanted = {"version": "v1", "sizes": [1, 2], "final": True}
    report = json.loads(run("inspect", out, "--json"))
    assert report["custom_metadata"] == wanted and report["assets"] == {"in/labels.txt": 10}
    said = run("inspect", out)
    for line in ("Custom metadata", '  "v1"', "  [1, 2]", "Assets", "in/labels.txt   10 B"):
        assert line in said
    done = CliRunner().invoke(commands, ["inspect", str(out), "--asset", "in/labels.txt"])
    assert done.exit_code == 0 and done.stdout_bytes == labels.read_bytes()
    assert "'in/labels.txt'" in run("inspect", out, "--asset", "in/label.txt", code=2)
    plain = digits / "run" / "model.ckpt-40.pb"
    assert "it carries none" in run("inspect", plain, "--asset", "labels.txt", code=2)
    assert "Assets" not in run("inspect", plain) and "Custom" not in run("inspect", plain)


def test_check_writes_nothing(digits, tmp_path):
    before = sorted(os.listdir(str(digits / "run")))
    report = json.loads(run("check", digits / "run", *ASKED, "--json"))
    assert report["weight_bytes"] == 4 * (64 * 32 + 32 * 10) == sum(report["layers"].values())
    assert "chooses between branches" in run("check", digits / "run", "--outputs", "probs")
    assert sorted(os.listdir(str(digits / "run"))) == before


def test_verify(digits, tmp_path):
    path = digits / "run" / "model.ckpt-40.pb"
    said = run("verify", path, "--against", digits / "run")
    assert "constants: 2 of 2 equal, greatest difference 0\n" in said
    feeds = ["--feeds", digits / "feeds.npz"]
    assert "outputs: 1 of 1 equal" in run("verify", path, "--against", path, *feeds)
    said = run("verify", path, "--against", digits / "run" / "model.ckpt-20", code=1)
    assert "constants: 0 of 2 equal" in said and "Not within 1e-05: 2" in said
    older = digits / "run" / "model.ckpt-20.pb"
    held, theirs = constants(path), constants(older)
    greatest = max(float(np.abs(held[n] - theirs[n]).max()) for n in ("hidden/w", "out/v"))
    said = run("verify", path, "--against", older, *feeds, code=1)
    assert f"{greatest:.3g}" in said
    run("verify", path, "--against", older, "--tolerance", greatest + 1)


def test_checkpoint(digits):
    said = run("checkpoint", digits / "run", "--graph", digits / "run" / "model.ckpt-40.pb")
    assert "model.ckpt-40: " in said and "hidden/w/Adam" in said and "64x32" in said
    found = json.loads(
        run("checkpoint", digits / "run", "--json", "--graph", digits / "run" / "model.ckpt-40.pb")
    )
    used = [entry["key"] for entry in found["variables"] if entry["used_by"]]
    assert used == ["hidden/w", "out/v"] and found["step"] == 40
    meta = digits / "run" / "model.ckpt-40.meta"
    found = json.loads(run("checkpoint", digits / "run", "--json", "--graph", meta))
    assert all(entry["used_by"] == [entry["key"]] for entry in found["variables"])


def test_run(digits, tmp_path):
    out = tmp_path / "y.npz"
    path = digits / "run" / "model.ckpt-40.pb"
    said = run("run", path, "--feeds", digits / "feeds.npz", "--out", out)
    assert "5x10" in said
    with np.load(str(out)) as found:
        assert found.files == ["probs"]
        expected = np.load(str(digits / "answers.npy"))
        np.testing.assert_allclose(found["probs"], expected, atol=1e-6)
    assert "needs a value for x" in run("run", path, code=2)


@pytest.mark.parametrize("text, code", [(b"a\0b", 0), (b"ab\0", 2)])
def test_strings_that_run_writes_are_whole(text, code, graph, tmp_path):
    tf.identity(tf.constant([text, b"c"]), name="y")
    with v1.Session() as session:
        fh.freeze_session(session, str(tmp_path / "m.pb"), ["y"])
    said = run("run", tmp_path / "m.pb", "--out", tmp_path / "y.npz", code=code)
    assert ("zero byte" in said) is bool(code)
    if not code:
        with np.load(str(tmp_path / "y.npz")) as found:
            assert found["y"].tolist() == [text, b"c"]


WRONG = [
    (["inspect", "{run}/model.ckpt-4.pb"], "model.ckpt-40.pb"),
    (["inspect", "{run}"], "is a directory"),
    (["inspect", "{run}/model.ckpt-40.index"], "a part of a checkpoint"),
    (["freeze", "{run}x", "-o", "a.pb"], "did you mean"),
    (["freeze", "{run}/model.ckpt-41", "-o", "a.pb"], "model.ckpt-40"),
    (["check", "{run}", "--outputs", "prob"], "'probs'"),
    (["check", "{run}", "--outputs", "probs", "--bind", "trainin=false"], "'training'"),
    (["freeze", "{run}", "-o", "a.pb", "--asset", "a=none.txt"], "--asset cannot read 'none.txt'"),
    (["freeze", "{run}", "-o", "a.pb", "--asset", "../a={run}"], "--asset has the name '../a'"),
    (["freeze", "{run}", "-o", "a.pb", "--metadata", "a=NaN"], "custom_metadata['a'] is nan"),
    (["checkpoint", "{run}/model.ckpt-4"], "'model.ckpt-40'"),
    (["checkpoint", "{run}", "--graph", "{run}/graph.pbtx"], "graph.pbtxt"),
    (["verify", "{run}/model.ckpt-40.pb", "--against", "{run}/model.ckpt-4"], "model.ckpt-40"),
    (["run", "{run}/model.ckpt-40.pb", "--feeds", "{run}/../feed.npz"], "feeds.npz"),
    (["run", "{run}/model.ckpt-40.pb", "--feeds", "{run}/graph.pbtxt"], "no .npz"),
]


@pytest.mark.parametrize("arguments, named", WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_wrong_paths_and_names(arguments, named, digits):
    given = [a.format(run=digits / "run") for a in arguments]
    said = run(*given, code=2)
    assert said.count("\n") == 1 and named in said
    failed = CliRunner().invoke(commands, [*given, "--debug"])
    assert isinstance(failed.exception, (fh.FreezeError, OSError))


def test_the_readme_shows_what_it_says(tmp_path, monkeypatch):
    """The README's commands print what it shows, except for the figures."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        readme = file.read()
    (tmp_path / "block.py").write_text(re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0])
    env = dict(os.environ, PYTHONPATH=ROOT)
    started.run(["block.py"], tmp_path, env)
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", x=np.random.randn(8, 4))
    (console,) = re.findall(r"```console\n(.*?)```", readme, re.DOTALL)
    for part in console.split("$ freeze-hooks ")[1:]:
        command, _, shown = part.partition("\n")
        assert _without_figures(run(*command.split())) == _without_figures(shown)


def _without_figures(text):
    text = re.sub(r"xxh3_64 \w+|[kM]?B/s|\d[\d.e+-]*", "#", text)
    return re.sub(r"# to #|#+ *#?", "#", text)

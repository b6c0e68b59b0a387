"""The examples and the README's blocks run as they stand."""

import os
import re

import pytest
import started
import tensorflow as tf
from places import ROOT


def run(arguments, directory):
    return started.run(arguments, directory).stdout


def test_digits_monitored_session(tmp_path):
    script = os.path.join(ROOT, "examples", "digits_monitored_session.py")
    out = run([script, str(tmp_path / "digits")], tmp_path)
    live, frozen = (
        float(re.search(rf"accuracy, {what}: +([\d.]+)", out).group(1))
        for what in ("live session", "frozen file")
    )
    difference = float(re.search(r"greatest difference of probabilities: (\S+)", out).group(1))
    assert live == frozen > 0.95
    assert difference < 1e-5
    assert out.count("model.ckpt-") == 4


def test_slim_digits(tmp_path):
    script = os.path.join(ROOT, "examples", "slim_digits.py")
    out = run([script, str(tmp_path / "digits")], tmp_path)
    accuracies = re.findall(r"accuracy, frozen file: ([\d.]+)", out)
    differences = re.findall(r"difference to the restored net: (\S+)", out)
    assert len(accuracies) == len(differences) == 2
    assert all(float(accuracy) > 0.95 for accuracy in accuracies)
    assert all(float(difference) < 1e-5 for difference in differences)


def test_digits_keras(tmp_path):
    script = os.path.join(ROOT, "examples", "digits_keras.py")
    out = run([script, str(tmp_path)], tmp_path)
    keras, frozen = re.findall(r"held-out accuracy, .*: ([\d.]+)", out)
    assert keras == frozen and float(frozen) > 0.95
    assert float(re.search(r"difference of probabilities: (\S+)", out).group(1)) < 1e-5
    assert "improved from" in out and "best.pb" in os.listdir(str(tmp_path))


@pytest.mark.skipif(not hasattr(tf, "estimator"), reason="TensorFlow 2.15 was the last with it")
def test_digits_estimator(tmp_path):
    out = run([os.path.join(ROOT, "examples", "digits_estimator.py"), str(tmp_path)], tmp_path)
    live, frozen = re.findall(r"held-out accuracy, .*: +([\d.]+)", out)
    assert live == frozen and float(frozen) > 0.9
    assert float(re.search(r"difference of probabilities: (\S+)", out).group(1)) < 1e-5


def readme_blocks():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        return re.findall(r"```python\n(.*?)```", file.read(), re.DOTALL)


CALLBACK = next(block for block in readme_blocks() if "FreezeCallback(" in block)


@pytest.mark.parametrize("number", range(len(readme_blocks())))
def test_readme(number, tmp_path):
    """Each block runs alone, or after another one where it says that it goes on from that."""
    blocks = readme_blocks()
    script = blocks[number]
    for start, before in (("the first block", blocks[0]), ("the callback", CALLBACK)):
        if script.startswith(f"# goes on from {start}\n"):
            script = before + script
    if script.startswith("# needs TensorFlow 2") and tf.__version__.startswith("1."):
        pytest.skip("shows what came with TensorFlow 2")
    if script.startswith("# needs Estimator") and not hasattr(tf, "estimator"):
        pytest.skip("TensorFlow 2.15 was the last with Estimator")
    (tmp_path / "block.py").write_text(script)
    run(["block.py"], tmp_path)

"""The package itself: what importing it costs, what it asks for, what it exports."""

import os
import shutil
import subprocess
import sys

import freeze_hooks as fh

PACKAGE = os.path.dirname(os.path.abspath(fh.__file__))


def python(*arguments, **more):
    run = subprocess.run([sys.executable, *arguments], capture_output=True, **more)
    return run.returncode, run.stdout.decode(), run.stderr.decode()


def test_import_is_light():
    script = (
        "import sys, freeze_hooks;"
        "print([m for m in ('tensorflow', 'numpy', 'keras', 'tf_slim') if m in sys.modules])"
    )
    assert python("-c", script)[:2] == (0, "[]\n")


def test_hook_needs_neither_keras_nor_slim_nor_estimator():
    script = (
        "import sys, tensorflow; before = set(sys.modules);"
        "import freeze_hooks; freeze_hooks.FreezeHook; freeze_hooks.load_frozen;"
        "new = set(sys.modules) - before;"
        "new = {m for m in new if not m.startswith('freeze_hooks.')};"
        "print([m for m in new if 'keras' in m or 'slim' in m or 'estimator' in m])"
    )
    code, out, err = python("-c", script)
    assert (code, out) == (0, "[]\n"), err


def test_without_tensorflow_one_sentence_says_what_to_do(tmp_path):
    shutil.copytree(PACKAGE, str(tmp_path / "freeze_hooks"))
    # -S and -I: the standard library alone, without what is installed beside it
    script = f"import sys; sys.path.append({str(tmp_path)!r}); import freeze_hooks"
    code, _, err = python("-I", "-S", "-c", script)
    assert code == 1
    last = err.strip().splitlines()[-1]
    assert last.startswith("ImportError: freeze_hooks works on TensorFlow, which is not installed")
    assert "pip install tensorflow" in last


def test_every_public_name_is_there_and_says_how_it_is_used():
    for name in fh.__all__:
        if name != "__version__":
            assert getattr(fh, name).__doc__, name
    assert set(fh.__all__) <= set(dir(fh))


def test_a_name_that_is_not_there():
    assert not hasattr(fh, "FrezeHook")

"""TensorFlow's protobuf modules without TensorFlow, so that a look at a file takes no seconds.

They need nothing of it, but Python imports the package `tensorflow` before any module in it. So an
empty package takes its place while they are loaded. It goes again afterwards, and they stay: the
first real `import tensorflow` finds and uses them, and each message is registered once. Only the
command does this, in its own process.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types
from typing import List


def load_messages() -> None:
    """Load `freeze_hooks._protos`, and with it the protobuf modules, before TensorFlow.

    Where TensorFlow is loaded already, or has its modules elsewhere, this does nothing: then they
    come with it.
    """
    places = _places()
    if "tensorflow" in sys.modules or not places:
        return
    stub = types.ModuleType("tensorflow")
    stub.__path__ = places
    before = set(sys.modules)
    sys.modules["tensorflow"] = stub
    try:
        importlib.import_module("freeze_hooks._protos")
    except Exception:  # a version that has them otherwise: as before, and the real import decides
        for name in set(sys.modules) - before:
            if name.startswith(("tensorflow.", "freeze_hooks._protos")):
                del sys.modules[name]
    finally:
        del sys.modules["tensorflow"]


def _places() -> List[str]:
    """The directories that are the package; in TensorFlow 1.15 its modules are in another's."""
    found = importlib.util.find_spec("tensorflow")
    outer = list((found and found.submodule_search_locations) or ())
    inner = [os.path.join(os.path.dirname(place), "tensorflow_core") for place in outer]
    return [place for place in outer + inner if os.path.isdir(os.path.join(place, "core"))]

"""TensorFlow's protobuf modules without TensorFlow, so that a look at a file takes no seconds.

These modules need nothing else of TensorFlow. But Python imports the package `tensorflow` before
any module in it. So an empty package stands in for it while they are loaded. Then the empty package
is removed, and the modules stay. The first real `import tensorflow` finds and uses them, so that
each message is registered once. Only the command does this, in its own process.
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

    If TensorFlow is loaded already, or has its modules elsewhere, this does nothing: then they are
    loaded with TensorFlow.
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
    except Exception:  # an unknown version: undo it, and let the real import decide
        for name in set(sys.modules) - before:
            if name.startswith(("tensorflow.", "freeze_hooks._protos")):
                del sys.modules[name]
    finally:
        del sys.modules["tensorflow"]


def _places() -> List[str]:
    """Return the package's directories; TensorFlow 1.15 has its modules in tensorflow_core."""
    found = importlib.util.find_spec("tensorflow")
    outer = list((found and found.submodule_search_locations) or ())
    inner = [os.path.join(os.path.dirname(place), "tensorflow_core") for place in outer]
    return [place for place in outer + inner if os.path.isdir(os.path.join(place, "core"))]

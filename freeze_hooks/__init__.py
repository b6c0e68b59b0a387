"""freeze_hooks: training itself delivers the deployable model.

    import freeze_hooks as fh
    hooks = [fh.FreezeHook(outputs=["probs"], bind={"is_training:0": False})]

writes a frozen `.pb` (graph and weights in one file) beside every checkpoint that a TensorFlow
training session saves.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any, List

from ._version import __version__

if TYPE_CHECKING:
    from .after import to_tensorboard as to_tensorboard
    from .after import upload as upload
    from .errors import ConversionError as ConversionError
    from .errors import FreezeError as FreezeError
    from .errors import InvalidFileError as InvalidFileError
    from .errors import NotFiniteError as NotFiniteError
    from .errors import NotFreezableError as NotFreezableError
    from .errors import NotVerifiedError as NotVerifiedError
    from .errors import TooLargeError as TooLargeError
    from .errors import UnknownNameError as UnknownNameError
    from .estimator import FreezeExporter as FreezeExporter
    from .estimator import estimator_inference as estimator_inference
    from .freezer import Artifact as Artifact
    from .freezer import freeze_session as freeze_session
    from .from_checkpoint import freeze_checkpoint as freeze_checkpoint
    from .from_files import check as check
    from .from_files import freeze_files as freeze_files
    from .function_plan import FunctionPlan as FunctionPlan
    from .keras import FreezeCallback as FreezeCallback
    from .keras_model import freeze_keras_model as freeze_keras_model
    from .keras_model import plan_keras_model as plan_keras_model
    from .load import FrozenModel as FrozenModel
    from .load import Report as Report
    from .load import inspect as inspect
    from .load import load_frozen as load_frozen
    from .onnx.converter import to_onnx as to_onnx
    from .proof.asked import Verify as Verify
    from .saved_model import freeze_saved_model as freeze_saved_model
    from .saver import FreezingSaver as FreezingSaver
    from .session import FreezeHook as FreezeHook
    from .sigterm import SigtermHandler as SigtermHandler
    from .sigterm import on_sigterm as on_sigterm
    from .tflite import to_tflite as to_tflite
    from .traced import freeze_function as freeze_function
    from .traced import plan_function as plan_function

_HOMES = {
    "Artifact": "freezer",
    "ConversionError": "errors",
    "FreezeCallback": "keras",
    "FreezeError": "errors",
    "FreezeExporter": "estimator",
    "FreezeHook": "session",
    "FreezingSaver": "saver",
    "FrozenModel": "load",
    "InvalidFileError": "errors",
    "NotFiniteError": "errors",
    "NotFreezableError": "errors",
    "NotVerifiedError": "errors",
    "Report": "load",
    "SigtermHandler": "sigterm",
    "TooLargeError": "errors",
    "UnknownNameError": "errors",
    "Verify": "proof.asked",
    "FunctionPlan": "function_plan",
    "check": "from_files",
    "estimator_inference": "estimator",
    "freeze_checkpoint": "from_checkpoint",
    "freeze_files": "from_files",
    "freeze_function": "traced",
    "freeze_keras_model": "keras_model",
    "freeze_saved_model": "saved_model",
    "freeze_session": "freezer",
    "inspect": "load",
    "load_frozen": "load",
    "on_sigterm": "sigterm",
    "plan_function": "traced",
    "plan_keras_model": "keras_model",
    "to_onnx": "onnx.converter",
    "to_tensorboard": "after",
    "to_tflite": "tflite",
    "upload": "after",
}
__all__ = ["__version__", *_HOMES]

if importlib.util.find_spec("tensorflow") is None:
    raise ImportError(
        "freeze_hooks works on TensorFlow, which is not installed: "
        "pip install tensorflow (or tensorflow-cpu, tensorflow-macos), 1.15 or newer"
    )


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module("." + _HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted(__all__)

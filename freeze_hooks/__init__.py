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

__version__ = "0.1.0"  # pyproject.toml repeats it

if TYPE_CHECKING:
    from .errors import ConversionError as ConversionError
    from .errors import FreezeError as FreezeError
    from .errors import InvalidFileError as InvalidFileError
    from .errors import NotFiniteError as NotFiniteError
    from .errors import NotFreezableError as NotFreezableError
    from .errors import NotVerifiedError as NotVerifiedError
    from .errors import TooLargeError as TooLargeError
    from .errors import UnknownNameError as UnknownNameError
    from .frozen.artifact import Artifact as Artifact
    from .frozen.loaded_model import FrozenModel as FrozenModel
    from .frozen.loaded_model import load_frozen as load_frozen
    from .frozen.reader import Report as Report
    from .frozen.reader import inspect as inspect
    from .graph.lint import Finding as Finding
    from .on_publish.as_saved_model import to_saved_model as to_saved_model
    from .on_publish.onnx.converter import to_onnx as to_onnx
    from .on_publish.tensorboard import to_tensorboard as to_tensorboard
    from .on_publish.tflite import to_tflite as to_tflite
    from .on_publish.upload import upload as upload
    from .plan.formats import TFJS as TFJS
    from .plan.formats import SavedModel as SavedModel
    from .proof.asked import Verify as Verify
    from .signature import Signature as Signature
    from .signature import TensorInfo as TensorInfo
    from .sources.any_file import check as check
    from .sources.any_file import freeze_files as freeze_files
    from .sources.checkpoint import freeze_checkpoint as freeze_checkpoint
    from .sources.function import freeze_function as freeze_function
    from .sources.function import plan_function as plan_function
    from .sources.function_plan import FunctionPlan as FunctionPlan
    from .sources.keras.model import freeze_keras_model as freeze_keras_model
    from .sources.keras.model import plan_keras_model as plan_keras_model
    from .sources.saved_model import freeze_saved_model as freeze_saved_model
    from .sources.session import freeze_session as freeze_session
    from .training.estimator import FreezeExporter as FreezeExporter
    from .training.estimator import estimator_inference as estimator_inference
    from .training.keras_callback import FreezeCallback as FreezeCallback
    from .training.saver import FreezingSaver as FreezingSaver
    from .training.session_hook import FreezeHook as FreezeHook
    from .training.sigterm import SigtermHandler as SigtermHandler
    from .training.sigterm import on_sigterm as on_sigterm

_HOMES = {
    "Artifact": "frozen.artifact",
    "ConversionError": "errors",
    "Finding": "graph.lint",
    "FreezeCallback": "training.keras_callback",
    "FreezeError": "errors",
    "FreezeExporter": "training.estimator",
    "FreezeHook": "training.session_hook",
    "FreezingSaver": "training.saver",
    "FrozenModel": "frozen.loaded_model",
    "FunctionPlan": "sources.function_plan",
    "InvalidFileError": "errors",
    "NotFiniteError": "errors",
    "NotFreezableError": "errors",
    "NotVerifiedError": "errors",
    "Report": "frozen.reader",
    "Signature": "signature",
    "SigtermHandler": "training.sigterm",
    "TensorInfo": "signature",
    "TooLargeError": "errors",
    "UnknownNameError": "errors",
    "SavedModel": "plan.formats",
    "TFJS": "plan.formats",
    "Verify": "proof.asked",
    "check": "sources.any_file",
    "estimator_inference": "training.estimator",
    "freeze_checkpoint": "sources.checkpoint",
    "freeze_files": "sources.any_file",
    "freeze_function": "sources.function",
    "freeze_keras_model": "sources.keras.model",
    "freeze_saved_model": "sources.saved_model",
    "freeze_session": "sources.session",
    "inspect": "frozen.reader",
    "load_frozen": "frozen.loaded_model",
    "on_sigterm": "training.sigterm",
    "plan_function": "sources.function",
    "plan_keras_model": "sources.keras.model",
    "to_onnx": "on_publish.onnx.converter",
    "to_tensorboard": "on_publish.tensorboard",
    "to_saved_model": "on_publish.as_saved_model",
    "to_tflite": "on_publish.tflite",
    "upload": "on_publish.upload",
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

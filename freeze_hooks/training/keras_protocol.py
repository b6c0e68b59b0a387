"""Methods that Keras calls on every callback and that FreezeCallback does not need."""

from __future__ import annotations

from typing import Any


def _nothing(self: Any, *args: Any, **kwargs: Any) -> None:
    """Do nothing."""


_nothing._is_default = True  # type: ignore[attr-defined]  # Keras 3 need not wait for it


class KerasProtocol:
    """Derive a callback from it, and define only the methods that do something.

    It serves Keras 3, tf_keras and TensorFlow 1.15's tf.keras, whose own classes differ.
    """

    _supports_tf_logs = False
    _chief_worker_only = None

    on_batch_begin = on_batch_end = _nothing
    on_test_begin = on_test_end = on_test_batch_begin = on_test_batch_end = _nothing
    on_predict_begin = on_predict_end = on_predict_batch_begin = on_predict_batch_end = _nothing

    def _implements_test_batch_hooks(self) -> bool:
        return False

    _implements_predict_batch_hooks = _implements_test_batch_hooks

"""Converts frozen files to ONNX.

Ops that tf2onnx lacks or converts wrongly are first replaced by simpler ops.
"""

"""All rules: by which plainer ops tf2onnx gets those that it lacks or gets wrong."""

from __future__ import annotations

from . import math_rules

RULES = dict(math_rules.RULES)

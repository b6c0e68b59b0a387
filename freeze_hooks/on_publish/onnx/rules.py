"""All rules: they replace ops that tf2onnx lacks or converts wrongly by simpler ops."""

from __future__ import annotations

from . import array_rules, image_rules, math_rules, segment_rules, training_rules

RULES = {
    **math_rules.RULES,
    **array_rules.RULES,
    **segment_rules.RULES,
    **image_rules.RULES,
    **training_rules.RULES,
}

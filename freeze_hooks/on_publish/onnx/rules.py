"""All rules: by which plainer ops tf2onnx gets those that it lacks or gets wrong."""

from __future__ import annotations

from . import array_rules, image_rules, math_rules, segment_rules, training_rules

RULES = {
    **math_rules.RULES,
    **array_rules.RULES,
    **segment_rules.RULES,
    **image_rules.RULES,
    **training_rules.RULES,
}

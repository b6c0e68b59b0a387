"""The table in which a module registers its rules."""

from __future__ import annotations

from typing import Callable, Dict

from .plain_ops import Rule


class Rules(Dict[str, Rule]):
    """{op: rule}, filled by `@RULES.of("Op")`."""

    def of(self, *ops: str) -> Callable[[Rule], Rule]:
        """Register a rule for some ops."""

        def register(rule: Rule) -> Rule:
            self.update(dict.fromkeys(ops, rule))
            return rule

        return register

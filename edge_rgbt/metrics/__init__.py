"""Scores with each benchmark's own rules, equal to the published numbers on the same files."""

from __future__ import annotations

from edge_rgbt.errors import UsageError
from edge_rgbt.metrics.gtot import GtotRules
from edge_rgbt.metrics.lasher import LasherRules
from edge_rgbt.metrics.rgbt210 import Rgbt210Rules
from edge_rgbt.metrics.rgbt234 import Rgbt234Rules
from edge_rgbt.metrics.rules import RuleSet, SequenceScore, Truth
from edge_rgbt.metrics.vtuav import VtuavRules

RULE_SETS: dict[str, RuleSet] = {
    rules.name: rules for rules in (GtotRules(), Rgbt210Rules(), Rgbt234Rules(), LasherRules(), VtuavRules())
}


def rule_set(dataset: str) -> RuleSet:
    """The rules of a benchmark by its name. Raises UsageError listing the names."""
    try:
        return RULE_SETS[dataset]
    except KeyError:
        raise UsageError(f"no scoring rules for '{dataset}'; known: {', '.join(RULE_SETS)}") from None


__all__ = ["RULE_SETS", "RuleSet", "SequenceScore", "Truth", "rule_set"]

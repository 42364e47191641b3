"""Runs side by side: the cost of a kept instruction, how it changed over time, and the diversity of the kept."""

from consumers.compare.comparison import Comparison, CostPerThousand, compare

__all__ = ["Comparison", "CostPerThousand", "compare"]

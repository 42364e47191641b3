"""Runs side by side: what a kept instruction took, how that changed over time, and how diverse what was kept is."""

from consumers.compare.comparison import Comparison, CostPerThousand, compare

__all__ = ["Comparison", "CostPerThousand", "compare"]

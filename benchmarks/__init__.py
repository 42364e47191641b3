"""Measurements side by side, each against the thing it replaces. `python -m benchmarks --help`."""

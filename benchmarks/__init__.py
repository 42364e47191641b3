"""Benchmarks, each against what it replaces. `python -m benchmarks --help`."""

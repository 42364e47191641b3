"""Requests to an LLM, built from seeds: pure functions, one module a style."""

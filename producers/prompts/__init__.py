"""Builds the requests to an LLM: pure functions, one module a style, and one for judges."""

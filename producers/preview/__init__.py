"""Previews: an LLM is asked for a handful of generations of a run before anybody pays for the whole of it."""

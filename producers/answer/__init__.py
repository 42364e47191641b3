"""Answerers: an LLM answers the kept instructions of a run."""

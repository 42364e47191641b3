"""Evaluation calls: models answer sets of prompts, and judges read the answers."""

"""Benchmarks by log-likelihood: a model's questions measured, each an event on `measured`.

tasks        how a question is asked: prompt and choices as text, by task
data         questions from a folder or the hub, and which of them are asked
encoding     prompt and choices as tokens
packing      which tokens share a row, so that a common prefix is computed once
likelihood   the engine: tokens in, log-likelihoods out
harness      the same by lm-evaluation-harness
run          measures what is not on the log yet
"""

"""Evaluation: what trained models, and so the data, are worth.

benchmarks    log-likelihoods of multiple-choice questions and held-out texts, as events on `measured`
results       what the folds give and reports show
"""

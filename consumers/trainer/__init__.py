"""The trainer: trains a causal LM on a run's kept rows while they are still being written, and logs each window.

options        what a training may be asked for, and its summary
run            `train`: one training, put together
session        the loop, from a checkpoint or the first row to the model
stop_signals   when it stops, and never two trainers on one folder

data/          rows into batches of tokens
engine/        the model and a training step
distributed/   several ranks
record/        windows on the log, metrics, curves
result/        checkpoints, the exported model, chat
"""

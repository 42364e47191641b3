"""The trainer: trains a causal LM on a run's kept rows while they are still being written, and logs each window.

options        of a training, and its summary
run            `train`: builds a training from its options and runs it
session        the training loop; `session_state`: its configuration and state
stop_signals   SIGTERM and SIGINT; one trainer a folder

data/          rows into batches of tokens
engine/        the model and a training step
distributed/   several ranks
record/        windows on the log, metrics, curves
result/        checkpoints, the exported model, chat
"""

"""The trainer: trains a causal LM on a run's kept rows while they are still being written, and logs each window.

options     what a training may be told, and what it gives back
rows        kept rows from the log into batches
templates   a row as tokens: prompt, response
trainee     the model folder
engine      DeepSpeed: a step from tokens
schedule    the learning rate of a step
windows     steps into TrainingLogged
checkpoint  everything above at one step, on disk, whole or not at all
run         `train`: the loop
"""

"""The trainer: trains a causal LM on a run's kept rows while they are still being written, and logs each window.

options      what a training may be told, and what it gives back
run          `train`: one rank, put together; `launch` and `rank`: several on this machine; `ranks`: what they say
session      the loop

ahead        where rows come from, the log; `stored`: an archive or memory; `offline`, `data`: files
rows, plan   rows into batches, the same on every rank
templates    a row as tokens: prompt, response; `tokens`: ahead of the step; `threshold`: rows that wait for their score
trainee      the model folder; `lora`: adapters in it
engine       DeepSpeed: a step from tokens; `zero`, `loss`, `microbatches`, `memory`, `cpu`, `streak`: its parts
schedule     the learning rate of a step

windows      steps into TrainingLogged
checkpoint   all of a training at one step, on disk, whole or not at all; `seal`: that it is ours
account      what is told besides: `metrics` (a file), `board` (TensorBoard), `evaluate` (rows held out)
outcome      the model that is left; `card`, `curves`: what stands beside it; `chat`: talking to it
"""

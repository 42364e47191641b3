"""The model and a training step.

step              tokens in, numbers out, with DeepSpeed (`deepspeed_setup`)
model             the causal LM and its tokenizer; `lora`: adapters in it
loss              of a micro-batch; `microbatches`: a batch cut into passes of like length
learning_rate     of a step
held_out          the loss on rows that are not trained on
nonfinite_guard   ends a training whose steps change nothing
memory, cpu       what the machine gives; `speed_trial`: how fast it trains
"""

"""The model and a training step.

step                    one step with DeepSpeed (`deepspeed_setup`): tokens in, measured numbers out
gradient_accumulation   a batch's gradient over micro-batches; `microbatches`: rows of like length together
loss                    of a micro-batch's response tokens; `held_out`: of rows that are not trained on
model                   the causal LM and its tokenizer; `lora`: adapters in it
learning_rate           of a step
nonfinite_guard         ends a training whose updates are all discarded
memory, cpu             what the machine has; `speed_trial`: how fast it trains
"""

"""A causal LM in this process, with continuous batching."""

"""A causal LM in this process, which answers many requests as one batch."""

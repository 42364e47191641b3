"""Log-likelihoods of texts under a causal language model, on this machine."""

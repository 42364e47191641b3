"""What puts instructions on the log: seeds, prompts, backends, the generator."""

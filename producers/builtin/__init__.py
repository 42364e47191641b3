"""The LLM that comes with the project: SmolLM2-135M-Instruct, served on this machine."""

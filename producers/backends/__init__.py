"""Where answers come from: an OpenAI-compatible endpoint, or a file of recorded ones."""

"""Where answers come from: an OpenAI-compatible endpoint, a file of recorded ones, or a load model's making."""

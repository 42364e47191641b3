"""How all model weights are loaded."""

SAFE = {"use_safetensors": True, "trust_remote_code": False}
"""For `from_pretrained` of transformers: never by unpickling, and never with code of the model."""

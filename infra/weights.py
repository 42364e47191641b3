"""How a model's weights are loaded, wherever they come from."""

SAFE = {"use_safetensors": True, "trust_remote_code": False}
"""For transformers' `from_pretrained`: never by unpickling, and never with code that comes with a model."""

"""Endpoints as they are: what servers really send, and what is right to make of it, as tables (`dialects`)."""

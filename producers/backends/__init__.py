"""Where answers come from: an OpenAI-compatible endpoint, a local model, a file of recorded answers, a load model.

base            what a backend offers and raises; `choice`: the backend that the settings name
openai          an endpoint; `openai_message`, `error_bodies`, `blame`, `waits`, `bounded`, `proxies` are for it
builtin         the built-in model behind a server; `transformers`, `local_model`: a model in this process
recorded        answers from a file; `load_model`: generated ones, for tests without an LLM
"""

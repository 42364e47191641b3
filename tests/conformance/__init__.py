"""Endpoints as they are: what six servers and the gateways before them really send, and what is right to make of it.

`dialects` holds their forms, `server` speaks them over HTTP and keeps books of its own, the tests send every form
through the real backend. Two commands do more of the same:

    python -m tests.conformance.fuzz --answers 20000 --seed 1
    python -m tests.conformance.faults --generations 1000 --seed 1

`docs/endpoints.md` is made of the same tables: `python -m tests.conformance.matrix --write`.
"""

"""What puts instructions on the log.

generate    generators: an LLM writes instructions, shown seeds
judge       judges: an LLM scores kept rows
calls       calls to an LLM, for both
backends    who answers: an endpoint, the built-in model, a local model, recorded answers
prompts     what is asked
seeds       the seed tasks of Self-Instruct
"""

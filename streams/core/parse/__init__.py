"""Parsers of an LLM's answers, by prompt style. Pure.

answers         the entry point: a generation's instructions from its answers
answer_text     the answer without reasoning, template tokens and byte-order marks
alpaca          `alpaca`: labelled tasks; `strict` and `layout` are its parser by labels
structured      `alpaca` in JSON
lists           `two-step` and `self-instruct`: a list of instructions
self_instruct   `self-instruct`: yes or no, and instances
leftover        unparsed text; `no_input`: inputs that mean no input
"""

"""Reading an LLM's answers, by prompt style. Pure.

answers         a generation's instructions from its answers: the way in
answer_text     the answer without reasoning, end marks and byte-order marks
alpaca          `alpaca`: labelled tasks; `strict` and `layout` are its reading by labels
structured      `alpaca` in JSON
lists           `two-step` and `self-instruct`: a list of instructions
self_instruct   `self-instruct`: yes or no, and instances
leftover        what could not be read; `no_input`: inputs that say that there is none
"""

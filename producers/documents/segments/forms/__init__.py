"""Parts of a text that its form shows.

lists         bulleted and numbered lists, steps, and enumerations in sentences
definitions   "X is a ...", and groups of "Term: ..."
questions     a question and what follows it, "Q: ... A: ..."
speech        dialogue and quotations
"""

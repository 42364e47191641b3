"""Judges: an LLM scores kept rows, each judgement an event on `judged`.

judge       builds a judge; `scoring`: its main loop
kept_rows   the rows in order
"""

"""Judges: an LLM scores kept rows, each judgement an event on `judged`.

judge       a judge, put together; `scoring`: at work
progress    what a judge knows of its run
kept_rows   the rows in their order
"""

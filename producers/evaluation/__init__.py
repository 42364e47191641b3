"""Evaluation calls: models answer sets of prompts, and judges read the answers; each an event before it is counted.

prompt_sets    sets of prompts, read from files; `rows`: what the fields of a row mean
superni, longform   generation benchmarks as sets of prompts
answers        one model answers one set; `answering`: how a prompt is put to it, `answer_files`: answers from a file
judging        a judge reads pairs of answers, or single ones
progress       what is on the log already
"""

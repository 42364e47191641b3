"""Similarity of a new text to the kept ones. Pure.

index          the nearest text above a threshold, exact; its parts are `bounds`, `lists`, `vocabulary`
rouge          the ROUGE-L F-measure; `rouge_scores`: of all pairs, for reports
lcs            a longest common subsequence, to display
tokenize       texts to tokens
"""

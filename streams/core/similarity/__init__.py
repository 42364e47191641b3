"""Which kept text is most like a new one. Pure.

index          the nearest above a threshold, exact: `bounds`, `lists`, `vocabulary` are its parts
rouge          the ROUGE-L F-measure; `rouge_scores`: of all texts, for reports
lcs            a longest common subsequence itself, to be shown
tokenize       texts to tokens
"""

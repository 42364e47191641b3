"""Evaluation: what trained models, and so the data, are worth.

benchmarks        log-likelihoods of multiple-choice questions and held-out texts, as events on `measured`
results           what the folds give and reports show
statistics        intervals, and means of parts
mmlu_groups       which subject of MMLU is in which group
judged_pairs      judges' readings of pairs of answers, joined with the answers
comparisons       two models by a judge: win, tie, lose
strengths         three models or more by a judge
length_control    the win rate with the lengths of the answers held equal
measured          the fold of `measured`: questions by model and benchmark
measures          scores of benchmarks, and losses of held-out texts
differences       models against the first one, on common questions
answer_counts     what became of the prompts of each set
report            all of them together, with notes
cells, tables, drawing, plots, page   the report for people
alpaca_eval       published annotation files of AlpacaEval
generation        answers compared with their references
meteor            METEOR by nltk
"""

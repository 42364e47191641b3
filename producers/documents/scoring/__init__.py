"""Log-likelihoods of a segment after each candidate instruction: the scorers of the second producer.

A scorer is a backend (`producers.backends.base.ScorerBackend`): its request is a `Scoring`, its answer the JSON of
`schemas.segments.SegmentScores`. So scores are calls like any other: on the ledger, counted, and made once.

options      which scorer, and how it scores
opening      opens it
local        a model in this process
encoding     segment and instructions as tokens; how the segment without an instruction is written
stages       all candidates on the whole segment, or on its head first
endpoint     a completion endpoint that returns log-probabilities of prompts
prompt_form  segment and instructions as texts for it
logprobs     its answers
"""

"""The schema of `sedi explain --json`.

place         a record's place on the log
generation    how a generation was requested
seed          a seed's time in the pool
document      a document, and a segment with the candidates for it
instruction   an instruction from answer to training
answered      the answer to a kept instruction, where it was asked for after it was kept
evaluation    a question, an answer, a judgement, and a model down to the rows it was trained on
explanation   all of it

`at` is a fact's place on the log. None means "not known" or "there is none", never zero. Facts that are not on the log
but computed from it: `rules`, `recomputed`, `nearest`, `span`, `sampled_as_told`.
"""

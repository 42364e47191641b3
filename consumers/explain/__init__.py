"""Why is this row in the training set, and what came from it? Answered from a run's log alone.

story              the explanation of an instruction, a seed, a generation, a request, a document, or a part of an
                   evaluation
schema             its JSON
locate             the thing that an id, or the start of one, names
locate_evaluation  the part of an evaluation, or the model, that it names
history            how the run was configured, and what changed since
evidence           everything on the log that a story needs, gathered in one reading
generation_story   how a generation was requested
training_story     an instruction in training, and a seed in the pool
document_story     a document: its segments, and what was made from them
segment_story      a segment with the candidates for it
evaluation_story   a measured question, an answer to a prompt, a judgement of answers
model_story        a model from its scores to its questions, and to the rows it was trained on
nearest            the kept row most similar to an instruction
spans              where in a raw answer an instruction is
withdraw           everything that came from a document, a seed, a request, an instruction or a model
derivation         what comes from what
withdrawal_schema  the JSON of withdraw
"""

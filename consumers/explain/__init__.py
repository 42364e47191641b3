"""Answers to "why is this row in the training set, and what else came from it?", told from a run's log alone.

story       the story of an instruction, a seed, a generation or a request
told        its schema
locate      what an id, or the start of one, stands for
evidence    everything on the log that a story is told from, gathered in one reading
asked       how a generation was asked for
fed_back    what training made of it: steps, candidates, seeds
nearest     which kept row an instruction is most like, and what the two have in common
spans       where in a raw answer an instruction stands
withdraw    everything that came from a seed, a request, an instruction or a model
withdrawn   its schema
once        the rules by which events that stand twice are dropped
"""

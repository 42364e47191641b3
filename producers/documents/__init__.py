"""The second producer: instructions for segments of documents, with open models alone.

corpus/     reads files, drops what is no text, and writes documents to the log
segments/   cuts documents into segments
scoring/    log-likelihoods of a segment after each candidate
"""

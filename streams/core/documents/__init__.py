"""What is decided about instructions for segments of documents; pure.

choice   which of the candidates for a segment wins, and why the others do not
copies   whether a candidate copies its segment
spans    the text of a segment, from its document
"""

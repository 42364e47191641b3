"""What is decided about instructions for segments of documents; pure.

spans    the text of a segment, from its document
"""

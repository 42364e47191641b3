"""The corpus of a run: files are read into documents, and each becomes one event, used or dropped with a reason.

files       which files are read, in which order and under which names
readers/    a file to texts, one module a form
cleaning    what every text goes through; `wikitext` restores tokenised text; `parts` splits a long one
quality     what is no text, by measures of the text alone (`measured_text`)
language    which language a text is in
duplicates  which text has been there before, exactly or nearly (`signature_index`)
decide      a text to its events
known       what is on the log
add         all of it, onto the log; `withdraw`: documents that may not be used any more
"""

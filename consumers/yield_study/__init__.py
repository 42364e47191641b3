"""The yield study: one stream of generated instructions, decided again by other filters, without a new call.

sides      the filters that are compared, and how a stream fares under each
results    the study in numbers
savings    what one side saves against another, as measured and extrapolated
study      the whole study from its streams
tables     it as tables and sentences; `drawing` as figures; `page` puts both into a page
"""

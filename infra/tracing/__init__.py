"""Traces: one for each generation, from the choice of its seeds to the seeds that it replaced.

context   the span in which an event is written, and the `traceparent` of its record
names     every name of a span and of an attribute
spans     a span as it ended, and where it goes
export    to a collector, by OTLP over HTTP; the only module that imports OpenTelemetry
"""

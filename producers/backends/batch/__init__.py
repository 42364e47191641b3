"""Calls that an endpoint answers many together, within a day and at a lower price: the OpenAI batch API.

options     how batches are made
backend     a backend whose calls wait for the batch that holds them
lane        the open batches of one lane
work        one batch, step by step, with an event for each
services    what they work with
endpoint    files and batches at the endpoint
file        the lines of a batch's files
"""

"""The runs of a cluster: what there is, who uses it, and deleting it.

extent       topics, records, bytes and age of each run
groups       the consumer groups of a run, and others that read its topics
references   other runs that evaluated a model which this one trained
local_state  what this machine keeps of a run in `state_dir`
deletion     removes topics and consumer groups
"""

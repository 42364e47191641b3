"""The edge to the machine and the cluster.

cluster        reaching a Kafka cluster: connections, clients, topics, error messages
local_broker   a Kafka broker on this machine
log            a run's records: writing, reading, archives, dead letters
machine        processes, supervision, checks of what is installed
models         language models on this machine: identity, templates, precision, weights

settings       how and where things run
tables         files of rows; `columns` maps their columns
masking        secrets removed from text; `visible`: control characters escaped
"""

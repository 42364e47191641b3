"""The edge to the machine and the cluster.

cluster        reaching a Kafka cluster: connections, clients, topics, error messages
local_broker   a Kafka broker on this machine
log            a run's records: writing, reading, archives, dead letters
machine        processes, supervision, checks of what is installed

settings       how and where things run
tables         files of rows; `columns` maps their columns
embeddings     the sentence embedding model
masking        secrets removed from text; `visible`: control characters escaped
"""

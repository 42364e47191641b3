"""A run's log: its records, on a cluster or in an archive.

record         one record: bytes, key, headers, and the event decoded on demand
placement      whether an event is on the topic, partition and id that it belongs to
writer         writing events, with an idempotent producer
reader         reading partitions by offset; `closing`: their `with` statement
source         a bounded reading of several topics, from a cluster or an archive
run            a run's configuration, written once
dead_letters   the headers of a dead letter
archive        a run's topics as files; `archiving` writes them, `restoring` puts them back on a cluster
"""

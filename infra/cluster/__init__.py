"""Reaching a Kafka cluster: addresses, connections, clients and topics, with errors that say what to do.

addresses    server and endpoint addresses, checked before anything connects
connection   the connection part of each client's configuration: TLS, SASL, limits
clients      kafka-python clients whose connection errors are final
admin        an administrator's client, and topic descriptions
listener     what listens at a bootstrap server, and which protocol it speaks
refusals     client errors as sentences: refused, unreachable, missing rights
rights       the user's rights, checked before a program starts
health       whether the cluster answers
topics       the topics of a run, compared with their declarations and created
"""

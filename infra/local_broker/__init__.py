"""A Kafka broker on this machine: one KRaft node, run from jars that Maven fetches.

broker             start, stop and find it
broker_home        its folder: data, configuration, logs, pid file
jars               the jars, fetched once and checked by digest; `node/` declares them and holds the configuration
java               a Java runtime that runs it
temporary_broker   one for a test or a measurement, removed afterwards
"""

"""What stands between our code and the machine: settings, broker, topics, Kafka clients, health."""

"""What is on the log: events, commands, their envelope, versions and topics. Imports nothing of ours."""

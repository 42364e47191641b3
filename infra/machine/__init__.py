"""This machine: its processes, and what is installed on it.

processes    process identity beyond the pid, and locks between processes
supervisor   a run's child processes: started, restarted, stopped in order
doctor       what is present and what is missing, with how to get it
disk         the disk that files take
platforms    the systems and Pythons that the pinned requirements install on
"""

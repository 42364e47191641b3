"""Several ranks that train together.

launcher        starts the ranks of this machine, and ends all when one dies
rank_process    one rank: `python -m consumers.trainer.distributed.rank_process`
process_group   a process's rank, and the collectives
plan            the next batch: a pure function of the rows that each rank has
"""

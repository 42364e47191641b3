"""Several ranks that train together.

launcher        starts them on this machine, and ends them all when one dies
rank_process    one of them: `python -m consumers.trainer.distributed.rank_process`
process_group   who a rank is, and the collectives it takes part in
plan            what all ranks do next: a pure function of what each has at hand
"""

"""The first producer: generators, each one lane of a run that writes generations.

generator         a lane, put together; `lane`: at work
styles            what is asked, in how many calls (`self_instruct`: the third style); `style_factory`: a style by name
progress          what a lane knows of its run; `progress_reader`, `snapshots`: kept up to date
kept_reader       kept rows that a generation is shown
backpressure      waits for the filter and the trainer (`trainer_backlog`)
yield_window      what the last generations brought; `stall_guard`: when to give up
"""

"""Generators: each is one lane of a run and writes generations.

generator         builds a lane; `lane`: its main loop; `lane_parts`: its options, services and state
admission         which generations begin now
styles            the prompts and calls of a generation (`self_instruct`: the third style); `style_factory`: by name
progress          what a lane knows of its run; `progress_reader`: keeps it up to date, from a snapshot on
kept_reader       kept rows that a prompt shows (`kept_choice`)
steering_reader   what requests follow (`steering_fold`)
backpressure      waits for the filter and the trainer (`trainer_backlog`)
yield_window      the yield of the last generations; `stall_guard`: when to stop because of it
"""

"""The file that describes a run.

plan      everything that describes a run, read and checked whole: the file, --set and flags
fields    every field; `checks`: what must hold between fields
text      the commented file that `sedi init` writes
values    values of the file and of --set; `places`: their lines; `given`: where a value comes from
"""

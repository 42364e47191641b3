"""The paper's tables and figures as studies: each a list of commands, and the table that their results make.

options   what a study is asked for: its size, sides and data
plans     the commands of each study
runner    runs them one by one
result    the study's tables from the log, as text, JSON and a page
"""

"""The built-in model, SmolLM2-135M-Instruct, served by llama.cpp on this machine.

backend      sends requests to it, with names of special tokens as plain text
server       starts and stops its process; `llama`: the process's main program
model        its files; `requantise`: weights that are served faster
speed        measures its speed on this machine
"""

"""The built-in model, SmolLM2-135M-Instruct, served by llama.cpp on this machine.

backend      asks it; names of special tokens go as text
server       its process, started and stopped; `llama`: what runs in it; `port`: whether a port can be had
model        its files; `requantise`: weights that are served faster
speed        how fast it answers here
"""

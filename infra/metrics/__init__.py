"""Metrics and health of the processes of a run, over HTTP: `/metrics`, `/healthz`, `/readyz`.

declared   every metric, once, with a sentence
meters     counts what a process does; does nothing where nobody asks
registry   what was counted, as the library `prometheus_client` writes it; the only module that imports it
health     whether the process is alive, and ready
server     the three addresses
faust      what Faust's own sensors count
"""

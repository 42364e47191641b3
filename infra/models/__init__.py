"""Language models on this machine: what trainers, backends and evaluations share.

identity         which model it is: name, digest of its files, and the run and step that made it
model_info       `sedi.json` beside a trained model
templates        prompt and response as text and tokens, in the template a model is trained in
turned_rows      rows turned round, for a model that writes the instruction to a text
turns            the same in a tokenizer's chat template; `special_tokens`: names of special tokens in texts are text
loading          a causal model and its tokenizer from a folder or by a hub name
device           `cpu` or `cuda`; `cpu`: threads and the heap; `memory`: its peak, and which errors mean out-of-memory
likelihood/      log-likelihoods of texts
precision        what this processor computes fast; `weights`: how weights are loaded
embeddings       sentence embeddings
"""

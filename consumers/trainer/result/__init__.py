"""What a training leaves behind.

checkpoint     all of a training at one step, whole or not at all; `seal`: that this installation wrote it
model_export   the trained model's folder; `model_card`: its README
chat           an answer of a trained model
"""

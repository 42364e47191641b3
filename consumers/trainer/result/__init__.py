"""What a training leaves behind.

checkpoint     a training's whole state at one step; `seal`: proves that this installation wrote it
model_export   the trained model's folder; `model_card`: its README
chat           a conversation with a trained model
"""

"""The metrics of a training."""

from infra.metrics import declared
from infra.metrics.meters import meters
from schemas.events import StepLogged


def count_step(step: StepLogged, epoch: int, waited_s: float) -> None:
    """Count a step that has ended; `waited_s`: how long its rows were waited for."""
    by = meters()
    by.add(declared.STEPS)
    by.add(declared.TRAINER_TOKENS, step.tokens)
    by.add(declared.TRAINER_ROWS, len(step.rows))
    by.add(declared.WAITING, waited_s)
    by.observe(declared.STEP_S, step.seconds)
    by.set(declared.STEP, step.step)
    by.set(declared.TRAINER_EPOCH, epoch)
    by.set(declared.LEARNING_RATE, step.learning_rate)
    for metric, value in (
        (declared.LOSS, step.loss),
        (declared.GRAD_NORM, step.grad_norm),
        (declared.MEMORY, step.memory_bytes),
    ):
        if value is not None:
            by.set(metric, value)

"""Every metric, declared once: its name, its kind, and a sentence.

Names are Prometheus's: base units, the unit at the end, `_total` for a counter. Each sample has the labels `run` and
`component`, and those of its metric, which have few values: no id is ever a label. Where a metric's sentence says
"of the run", a restart does not set it back, because the process reads it from its state; all others count from the
start of the process.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

WORKER, GENERATOR, ANSWERER, JUDGE, TRAINER, WEB = "worker", "generator", "answerer", "judge", "trainer", "web"
COMPONENTS = (WORKER, GENERATOR, ANSWERER, JUDGE, TRAINER, WEB)
_CALLERS = (GENERATOR, ANSWERER, JUDGE)
_CALL_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0, 120.0, 300.0)
_STEP_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True)
class DeclaredMetric:
    """A metric.

    components   whose processes have it
    buckets      upper bounds of a histogram, in the metric's unit
    """

    name: str
    kind: Kind
    sentence: str
    components: tuple[str, ...]
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


# -- of every process --------------------------------------------------------------------------------------------------

BUILD = DeclaredMetric("sedi_build_info", "gauge", "1, with the version of the program.", COMPONENTS, ("version",))
READY = DeclaredMetric("sedi_ready", "gauge", "1 when the process does its work, as /readyz says; else 0.", COMPONENTS)
LOOP_AGE = DeclaredMetric("sedi_main_loop_age_seconds", "gauge", "Seconds since the main loop last turned.", COMPONENTS)
STALLS = DeclaredMetric(
    "sedi_stalls_total", "counter", "Times that the main loop stood still and its stacks were dumped.", COMPONENTS
)

# -- the worker --------------------------------------------------------------------------------------------------------

ACTIVE = DeclaredMetric("sedi_worker_active", "gauge", "1 while this worker decides; 0 while it stands by.", (WORKER,))
APPLIED = DeclaredMetric(
    "sedi_worker_applied_offset", "gauge", "Offset of the last record applied, by topic.", (WORKER,), ("topic",)
)
LAG = DeclaredMetric(
    "sedi_worker_lag_records",
    "gauge",
    "Records of a topic that are on the log and not applied, as far as the consumer knows its end.",
    (WORKER,),
    ("topic",),
)
DECIDED = DeclaredMetric(
    "sedi_worker_instructions_total",
    "counter",
    "Instructions of the run that were decided, by outcome: kept or rejected.",
    (WORKER,),
    ("outcome",),
)
REJECTIONS = DeclaredMetric(
    "sedi_worker_rejections_total",
    "counter",
    "Instructions that were rejected, by reason: `similar`, or the rule that they break.",
    (WORKER,),
    ("reason",),
)
DEAD_LETTERS = DeclaredMetric(
    "sedi_worker_dead_letters",
    "gauge",
    "Dead letters of a topic that were not put back, as they count against the worker's limit.",
    (WORKER,),
    ("topic",),
)
REDELIVERED = DeclaredMetric(
    "sedi_worker_repeated_records_total",
    "counter",
    "Records delivered again and dropped, by topic.",
    (WORKER,),
    ("topic",),
)
FILLED = DeclaredMetric(
    "sedi_worker_filled_records_total",
    "counter",
    "Records read from the log directly because they were not delivered, by topic.",
    (WORKER,),
    ("topic",),
)
COMMANDS = DeclaredMetric(
    "sedi_worker_commands_total", "counter", "Training windows of the run that were answered with a command.", (WORKER,)
)
SEEDS_REPLACED = DeclaredMetric(
    "sedi_worker_seeds_replaced_total", "counter", "Seeds of the run that were replaced.", (WORKER,)
)
CLASSIFIERS = DeclaredMetric(
    "sedi_worker_classifier_fits_total", "counter", "Marks at which the run's classifier was due and fitted.", (WORKER,)
)

# -- Faust, from its own sensors ---------------------------------------------------------------------------------------

FAUST_RECEIVED = DeclaredMetric(
    "sedi_faust_messages_received_total", "counter", "Messages that Faust's consumer received.", (WORKER,)
)
FAUST_ACTIVE = DeclaredMetric(
    "sedi_faust_messages_active", "gauge", "Messages that Faust delivered and that are not acknowledged.", (WORKER,)
)
FAUST_SENT = DeclaredMetric(
    "sedi_faust_messages_sent_total", "counter", "Messages that Faust's producer sent.", (WORKER,)
)
FAUST_SEND_ERRORS = DeclaredMetric(
    "sedi_faust_send_errors_total", "counter", "Messages that Faust's producer failed to send.", (WORKER,)
)
FAUST_REBALANCES = DeclaredMetric(
    "sedi_faust_rebalances_total", "counter", "Rebalances of the worker's consumer group.", (WORKER,)
)
FAUST_SEND_S = DeclaredMetric(
    "sedi_faust_send_latency_seconds", "gauge", "Mean time of the last sends until the cluster confirmed.", (WORKER,)
)
FAUST_COMMIT_S = DeclaredMetric(
    "sedi_faust_commit_latency_seconds", "gauge", "Mean time of the last commits of offsets.", (WORKER,)
)

# -- calls to an LLM ---------------------------------------------------------------------------------------------------

CALLS = DeclaredMetric(
    "sedi_calls_total",
    "counter",
    "Attempts at calls that have ended, by outcome: answered or failed.",
    _CALLERS,
    ("outcome",),
)
CALLS_FAILED = DeclaredMetric(
    "sedi_calls_failed_total",
    "counter",
    "Attempts that failed, by kind: rate_limited, time_out, server_error, unreachable, garbled, refused, "
    "endpoint_refused, other.",
    _CALLERS,
    ("kind",),
)
CALL_S = DeclaredMetric(
    "sedi_call_duration_seconds", "histogram", "Time of an answered attempt.", _CALLERS, buckets=_CALL_S
)
CALLS_IN_FLIGHT = DeclaredMetric("sedi_calls_in_flight", "gauge", "Attempts that are being made now.", _CALLERS)
CALLS_LIMIT = DeclaredMetric("sedi_calls_in_flight_limit", "gauge", "Attempts that may be made at once now.", _CALLERS)
TOKENS = DeclaredMetric(
    "sedi_tokens_total",
    "counter",
    "Tokens that answers took, by type: prompt, cached or completion.",
    _CALLERS,
    ("type",),
)
COST = DeclaredMetric(
    "sedi_cost_usd_total", "counter", "What the answers cost, in US dollars, as far as prices are known.", _CALLERS
)
BREAKER_OPEN = DeclaredMetric(
    "sedi_calls_breaker_open", "gauge", "1 while calls wait for the endpoint to answer a probe.", _CALLERS
)

# -- what calls are made for -------------------------------------------------------------------------------------------

GENERATIONS = DeclaredMetric("sedi_generations_total", "counter", "Generations written to the log.", (GENERATOR,))
GENERATED = DeclaredMetric(
    "sedi_generated_instructions_total", "counter", "Instructions of the generations written to the log.", (GENERATOR,)
)
UNPARSED = DeclaredMetric(
    "sedi_unparsed_parts_total", "counter", "Parts of answers that could not be read as instructions.", (GENERATOR,)
)
WAITED = DeclaredMetric(
    "sedi_backpressure_seconds_total",
    "counter",
    "Seconds in which no generation was begun, by what was waited for.",
    (GENERATOR,),
    ("reason",),
)
ROWS_ANSWERED = DeclaredMetric(
    "sedi_rows_answered_total", "counter", "Kept rows answered, by outcome: used or unused.", (ANSWERER,), ("outcome",)
)
ROWS_JUDGED = DeclaredMetric(
    "sedi_rows_judged_total", "counter", "Kept rows judged, by outcome: scored or unreadable.", (JUDGE,), ("outcome",)
)

# -- the trainer -------------------------------------------------------------------------------------------------------

STEPS = DeclaredMetric("sedi_trainer_steps_total", "counter", "Steps trained by this process.", (TRAINER,))
STEP = DeclaredMetric("sedi_trainer_step", "gauge", "Number of the last step of the training.", (TRAINER,))
TRAINER_EPOCH = DeclaredMetric("sedi_trainer_epoch", "gauge", "Epoch of the last step, from 1.", (TRAINER,))
LOSS = DeclaredMetric("sedi_trainer_loss", "gauge", "Mean loss of the last step, in nats a token.", (TRAINER,))
GRAD_NORM = DeclaredMetric("sedi_trainer_grad_norm", "gauge", "Norm of the last step's gradient.", (TRAINER,))
LEARNING_RATE = DeclaredMetric("sedi_trainer_learning_rate", "gauge", "Learning rate of the last step.", (TRAINER,))
TRAINER_TOKENS = DeclaredMetric("sedi_trainer_tokens_total", "counter", "Response tokens trained.", (TRAINER,))
TRAINER_ROWS = DeclaredMetric("sedi_trainer_rows_total", "counter", "Rows trained.", (TRAINER,))
STEP_S = DeclaredMetric(
    "sedi_trainer_step_duration_seconds", "histogram", "Time of a step.", (TRAINER,), buckets=_STEP_S
)
WINDOWS = DeclaredMetric("sedi_trainer_windows_total", "counter", "Training windows closed.", (TRAINER,))
WAITING = DeclaredMetric("sedi_trainer_waiting_seconds_total", "counter", "Seconds spent waiting for rows.", (TRAINER,))
MEMORY = DeclaredMetric(
    "sedi_trainer_memory_bytes", "gauge", "Most memory in use in the last step, where the device tells.", (TRAINER,)
)

# -- the page ----------------------------------------------------------------------------------------------------------

REQUESTS = DeclaredMetric(
    "sedi_web_requests_total",
    "counter",
    "Requests answered, by class of status: 2xx, 3xx, 4xx, 5xx.",
    (WEB,),
    ("status",),
)
REQUEST_S = DeclaredMetric(
    "sedi_web_response_seconds", "histogram", "Time until the head of an answer.", (WEB,), buckets=_STEP_S
)

METRICS = tuple(each for each in list(globals().values()) if isinstance(each, DeclaredMetric))
"""All of them, in the order of this file."""


def of_component(component: str) -> tuple[DeclaredMetric, ...]:
    """Those that a component's processes have."""
    return tuple(each for each in METRICS if component in each.components)

"""Every name of a span and of an attribute, in one place.

Of calls they are those of OpenTelemetry's semantic conventions for generative AI, which are still in development: when
one changes there, it changes here. `sedi.*` are our own.
"""

# Spans, in the order of the loop. A call's span is named `chat <model>` or `text_completion <model>`.
GENERATION = "generation"
SUBJECT = "choose subject"
VERDICT = "verdict"
ANSWER_ROW = "answer row"
JUDGE_ROW = "judge row"
WINDOW = "training window"
BATCH = "training batch"
REPLACEMENT = "replace seeds"
ITEM = "work item"

# Generative AI
OPERATION = "gen_ai.operation.name"
CHAT = "chat"
TEXT_COMPLETION = "text_completion"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
REQUEST = {
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_tokens": "gen_ai.request.max_tokens",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "seed": "gen_ai.request.seed",
}
"""Of a parameter of a request, by its name in the API."""

# General
ERROR_TYPE = "error.type"
MESSAGING_SYSTEM = "messaging.system"
MESSAGING_DESTINATION = "messaging.destination.name"
MESSAGING_OFFSET = "messaging.kafka.offset"

# Ours
RUN = "sedi.run"
LANE = "sedi.lane"
NUMBER = "sedi.generation.number"
STYLE = "sedi.style"
SEEDS = "sedi.seed_ids"
SEED_COMMANDS_OFFSET = "sedi.seed_commands_offset"
INSTRUCTIONS = "sedi.instructions"
ATTEMPT = "sedi.attempt"
STEP = "sedi.step"
COST_USD = "sedi.cost_usd"
KEPT = "sedi.kept"
REJECTED = "sedi.rejected"
EPOCH = "sedi.epoch"
WINDOW_NUMBER = "sedi.window"
LOSS = "sedi.loss"
GRAD_NORM = "sedi.grad_norm"
ROWS = "sedi.rows"
OUTCOME = "sedi.outcome"
REPLACED = "sedi.seeds_replaced"
EVENT_ID = "sedi.event_id"

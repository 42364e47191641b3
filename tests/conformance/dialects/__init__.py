"""All known forms, by server."""

from tests.conformance.dialects import (
    anthropic,
    azure,
    gateway,
    gemini,
    litellm,
    llama_cpp,
    mistral,
    ollama,
    openai_api,
    openrouter,
    vllm,
)
from tests.conformance.forms import Api, Form

TABLES: dict[str, tuple[Form, ...]] = {
    "vLLM": vllm.FORMS,
    "llama.cpp": llama_cpp.FORMS,
    "Ollama": ollama.FORMS,
    "LiteLLM": litellm.FORMS,
    "OpenRouter": openrouter.FORMS,
    "Gemini": gemini.FORMS,
    "Mistral": mistral.FORMS,
    "OpenAI": openai_api.FORMS,
    "Azure": azure.FORMS,
    "Anthropic": anthropic.FORMS,
    "any gateway": gateway.FORMS,
}
"""The forms of each server, in the order of its table; `any gateway`: what may stand before each of them."""

GATEWAY = "any gateway"
SERVERS = tuple(name for name in TABLES if name != GATEWAY)
FORMS: dict[str, Form] = {form.id: form for table in TABLES.values() for form in table}


def forms_of(kind: str, server: str, api: Api) -> tuple[Form, ...]:
    """The forms of a kind of a server or its gateway; those of other servers if it has none."""
    known = [form for form in FORMS.values() if form.kind == kind and form.serves(api)]
    own = [form for form in known if form.server in (server, GATEWAY)]
    return tuple(own or known)

"""Generates `docs/endpoints.md` from the forms: `python -m tests.conformance.table` prints it."""

import sys
from collections.abc import Iterable, Sequence

from tests.conformance.dialects import FORMS, GATEWAY, TABLES
from tests.conformance.forms import KINDS, Answered, Ends, Form, Refused, Waits
from tests.conformance.prefixes import prefix_section

_HEAD = """\
# Endpoints

A generator asks any endpoint that speaks OpenAI's form. Servers differ in what they add, leave out and call an error.
Each form below is sent over HTTP to the backend that generators use. The backend must return the text, the reasoning,
the finish reason and the tokens that the server meant, or know whose fault the error is
(`tests/conformance/test_dialects.py`). The forms follow each server's public source or documentation, which its table
names (`tests/conformance/dialects`); none was recorded from a running server. This page is written by `python -m
tests.conformance.table > docs/endpoints.md`.

What becomes of an error:

- **waits**: the fault will pass. The request is made again, not before the wait that the server asks for.
- **refused**: this request is at fault. Its generation is written empty with the reason, and the next one goes on.
- **ends**: the key, the model, the account or the URL is at fault. The generator ends and prints what to check.

Usage that a server does not report, or that cannot be right, is unknown, never zero. A failure whose tokens nobody
reports, although the server may have worked, counts as perhaps paid ([generator and
ledger](decisions/generator-and-ledger.md)).

Prompt tokens that a server had in its cache are read wherever it reports them: in `prompt_tokens_details`, or as
`prompt_cache_hit_tokens` (DeepSeek), `cache_read_input_tokens` (gateways to Anthropic's models) or `cached_tokens`
(Moonshot). More of them than the prompt has tokens count as not reported. They are priced apart where that price is
known ([prices](configuration.md#prices)), and at the full price where it is not.

## Batches

`--batch-api` of `sedi generate`, `sedi answer` and `sedi judge` asks for half of the price and within a day, where the
endpoint offers files and batches: OpenAI, LiteLLM and others of the same form. What is used of it: `POST /files` with
purpose `batch`, `POST /batches`, `GET /batches/ID`, `GET /batches` with `limit` and `after`, `GET /files/ID/content`.
Metadata may be dropped; `input_file_id` must be in what is said of a batch. How crashes, expired and failed batches
come out is in [requests in batches](decisions/batches.md).
"""


def page() -> str:
    """The whole page."""
    return "\n".join((_HEAD, *_servers(), "", *_kinds(), *prefix_section()))


def _servers() -> Iterable[str]:
    """The number of forms of each kind, by server."""
    yield "## Forms, by server and kind\n"
    yield "Forms that were tried, all with success. An empty cell: no such form of that server is known here.\n"
    yield _row(("kind", *TABLES))
    yield _row(("---", *("--:" for _ in TABLES)))
    for kind in KINDS:
        counts = [sum(form.kind == kind for form in table) for table in TABLES.values()]
        yield _row((kind, *(str(count or "") for count in counts)))
    yield _row(("all", *(str(len(table)) for table in TABLES.values())))
    yield ""
    yield f"`{GATEWAY}` is what may stand before any of them: nginx, Envoy, Cloudflare, a network that breaks."


def _kinds() -> Iterable[str]:
    """Each kind with its description, number of forms and expected outcomes."""
    yield "## Kinds\n"
    yield _row(("kind", "is", "forms", "comes to"))
    yield _row(("---", "---", "--:", "---"))
    for kind, description in KINDS.items():
        forms = [form for form in FORMS.values() if form.kind == kind]
        yield _row((kind, description, str(len(forms)), _outcomes(forms)))
    yield _row(("all", "", str(len(FORMS)), ""))
    yield ""


def _outcomes(forms: Sequence[Form]) -> str:
    found = dict.fromkeys(_outcome(form) for form in forms)
    return ", ".join(sorted(found))


def _outcome(form: Form) -> str:
    match form.want:
        case Answered():
            return "an answer" if form.tells else "an answer of unknown usage"
        case Waits(asks=asks):
            return "waits as asked" if asks else "waits"
        case Refused(reason=reason):
            return "refused" if reason == "refused" else f"refused: {reason.replace('_', ' ')}"
        case Ends():
            return "ends"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(page())

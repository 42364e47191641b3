"""What an endpoint's error is about: one function of its status, its codes and its message.

The status is not enough. A wrong key may come as 400 (Gemini), an account without credit as 400 (Anthropic) or 429
(OpenAI), a flagged prompt as 403 (OpenRouter), one that is too long as 429 (OpenAI, Groq) or 500, and all of them with
status 200. So codes decide first, then the message, then the status. The message counts only where the status leaves it
open: an overloaded endpoint is overloaded, whatever its error page says.
"""

import re
from collections.abc import Sequence
from enum import Enum


class Blame(Enum):
    """What an error is about.

    FLAGGED      the content of this prompt, or of its answer: a content filter
    TOO_LONG     the length of this prompt: more than the model's context or the endpoint's limit
    REQUEST      this request, as far as the endpoint says; similar ones may fail too
    CREDIT       the account: it has no credit left
    ENDPOINT     the key, the model or the URL: no request will be answered
    PASSING      the moment: too many requests, overload, a time-out
    UNKNOWN      not known
    """

    FLAGGED = "flagged"
    TOO_LONG = "too_long"
    REQUEST = "request"
    CREDIT = "credit"
    ENDPOINT = "endpoint"
    PASSING = "passing"
    UNKNOWN = "unknown"


_MOST_READ = 4000  # characters of a message
_CODES_OF = {
    Blame.FLAGGED: """
        content_filter content_filtered content_policy_violation contentpolicyviolationerror moderation
        moderation_blocked moderation_error responsibleaipolicyviolation invalid_prompt safety
        prohibited_content data_inspection_failed datainspectionfailed sensitive_content input_flagged
    """,
    Blame.TOO_LONG: """
        context_length_exceeded contextwindowexceedederror exceed_context_size_error request_too_large
        string_above_max_length max_tokens_exceeded
    """,
    Blame.CREDIT: """
        insufficient_quota insufficient_credits insufficient_balance insufficient_funds
        billing_hard_limit_reached billing_not_active billing_error budget_exceeded arrearage
        payment_required credit_exhausted
    """,
    Blame.ENDPOINT: """
        invalid_api_key incorrect_api_key api_key_invalid missing_api_key authentication_error
        authenticationerror invalid_authentication unauthenticated unauthorized auth_error permission_error
        permissiondeniederror permission_denied access_denied key_model_access_denied token_not_found_in_db
        expired_key account_deactivated access_terminated model_not_found notfounderror not_found_error
        deploymentnotfound model_not_supported unsupported_country_region_territory invalid_organization
        not_supported_error no_db_connection
    """,
    Blame.PASSING: """
        overloaded_error engine_overloaded engine_overloaded_error rate_limit_exceeded rate_limit_error
        ratelimiterror rate_limit_reached tokens_exceeded requests tokens server_error api_error
        internal_server_error internal_error internalservererror service_unavailable serviceunavailableerror
        unavailable unavailable_error timeout timeout_error apitimeouterror deadline_exceeded
        resource_exhausted capacity_exceeded in_flight_budget_exhausted openrouter_in_flight_budget
    """,
}
_CODES = {code: kind for kind, codes in _CODES_OF.items() for code in codes.split()}

_FLAGGED = re.compile(
    r"\bflagged\b|content[ _-]?(management |moderation |safety )?(policy|policies|filter)|content filtering|"
    r"usage (polic|guideline)|safety (system|filter|settings|guidelines)|"
    r"(input|output|prompt|text|data)[^.]{0,40}(inappropriate|prohibited|unsafe|sensitive|harmful) content|"
    r"violat\w* [^.]{0,60}polic|blocked by [^.]{0,40}(moderation|safety|guardrail)|"
    r"(prompt|input|response) was blocked|considered high risk|unsafe or sensitive content",
    re.IGNORECASE,
)
_ACCOUNT = re.compile(
    r"(account|organi[sz]ation|project|user|access) (has been|was|is) [^.]{0,30}(deactivat|terminat|"
    r"suspend|disabled|banned|blocked)|(location|country|region)[^.]{0,30} not supported",
    re.IGNORECASE,
)
_TOO_LONG = re.compile(
    r"context[ _-]?(length|window|size)|maximum (context|input|prompt|model length|number of tokens)|"
    r"(prompt|input|request|messages?) ((is|are|was) )?too (long|large|big)|"
    r"(input|prompt) (token count|length)[^.]{0,60}exceed|too many (input )?tokens|reduce the length of|"
    r"(input|prompt) tokens exceed the |exceeded model token limit|input length should be|`inputs` tokens \+",
    re.IGNORECASE,
)
_CREDIT = re.compile(
    r"credit balance|insufficient (credit|balance|fund|quota)|(out of|no|not enough|more) (credit|balance|fund)s?\b|"
    r"check your plan and billing|exceeded your current quota|payment required|budget has been exceeded|"
    r"billing (hard limit|is not|not active|details)|account is not active|spend(ing)? limit",
    re.IGNORECASE,
)
_DEPLETED = re.compile(r"credits? (are|is|were|was|have been) (depleted|exhausted|used up)", re.IGNORECASE)
_KEY = re.compile(
    r"\b(invalid|incorrect|wrong|missing|expired|unknown|no|bad|malformed|revoked|disabled)( virtual| openai)? "
    r"(api|access|auth|authentication)?[ _-]?(key|token|credentials?)\b(?! count)|"
    r"\b(api|access|auth)?[ _-]?key [^.]{0,30}(not valid|invalid|incorrect|not found|expired|missing|required|"
    r"limit exceeded|disabled|revoked|wrong)|\bno auth\b|unauthori[sz]ed|not authori[sz]ed|"
    r"authentication (failed|fails|error|required)|"
    r"(missing|no|invalid) (authentication|authorization header)\b|"
    r"(don't|do not|does not|doesn't) have (access|permission)|permission denied|no permission|access denied",
    re.IGNORECASE,
)
_MODEL = re.compile(
    r"model\b.{0,120}?(does not exist|doesn't exist|not found|is not (available|supported|a valid)|not a valid model|"
    r"is unknown)|not a valid model|(invalid|unknown|no such|unsupported) model\b|deployment [^.]{0,40}does not exist|"
    r"no endpoints found",
    re.IGNORECASE,
)
_PASSING = re.compile(
    r"overloaded|rate[ _-]?limit|too many requests|(try|retry) again|temporarily|(service|server) (is )?unavailable|"
    r"timed out|time-?out|loading model|at capacity|queue is full|currently busy|server is busy|internal server error",
    re.IGNORECASE,
)
_RETRY = re.compile(r"(retry|try again) (in|after)\b", re.IGNORECASE)

_PASSES = (408, 409, 420, 425, 429, 498, 499)
_OF_ALL = (401, 403, 404, 405, 407, 410)
_VAGUE = "requests tokens api_error server_error internal_error notfounderror not_found_error no_db_connection".split()


def blame(status: int | None, codes: Sequence[str], message: str) -> Blame:
    """What an error is about.

    status    the HTTP status, which may be 200; None: there was none
    codes     the error's `code`, `type` and `status` (`producers.backends.error_bodies`)
    message   the error's message
    """
    message = message[:_MOST_READ]
    failed = status if status is not None and status >= 300 else None
    lowered = [code.lower() for code in codes]
    named = {_CODES[code] for code in lowered if code in _CODES}
    sure = {_CODES[code] for code in lowered if code in _CODES and code not in _VAGUE}
    moment = failed is not None and (failed in _PASSES or failed >= 500)
    # The same words mean a daily quota at one endpoint and a rate limit at another, which then says when to retry.
    spent = bool(_CREDIT.search(message)) and (not moment or (failed == 429 and not _RETRY.search(message)))
    depleted = bool(_DEPLETED.search(message)) and not _RETRY.search(message) and (failed or 0) < 500
    rules = (
        (Blame.FLAGGED in sure, Blame.FLAGGED),
        (Blame.TOO_LONG in sure, Blame.TOO_LONG),
        (Blame.CREDIT in sure or depleted or (failed == 402 and Blame.PASSING not in sure), Blame.CREDIT),
        (Blame.ENDPOINT not in sure and bool(_TOO_LONG.search(message)), Blame.TOO_LONG),
        (moment and Blame.ENDPOINT in sure, Blame.ENDPOINT),
        (spent and Blame.PASSING not in sure, Blame.CREDIT),
        (moment or Blame.PASSING in sure, Blame.PASSING),
        (bool(_ACCOUNT.search(message)), Blame.ENDPOINT),
        (bool(_FLAGGED.search(message)), Blame.FLAGGED),
        (bool(_KEY.search(message)), Blame.ENDPOINT),
        (Blame.ENDPOINT in named or bool(_MODEL.search(message)) or failed in _OF_ALL, Blame.ENDPOINT),
        (Blame.PASSING in named or bool(_PASSING.search(message)), Blame.PASSING),
        (failed == 413, Blame.TOO_LONG),
        (failed is not None and failed < 400, Blame.ENDPOINT),
        (failed is not None or "invalid_request_error" in lowered, Blame.REQUEST),
    )
    return next((kind for holds, kind in rules if holds), Blame.UNKNOWN)

"""The backend of the built-in server. Names of special tokens in a request are plain text.

llama.cpp tokenizes whole prompts: `<|im_end|>` in a seed about chat formats would end the turn. So the server's
tokenizer is called first, with and without special tokens. If the results differ (rarely), the prompt is sent as
tokens: the template's parts with special tokens, the request's parts without. Otherwise it is sent as to any endpoint.
"""

import re
from typing import Any
from urllib.parse import urljoin

import openai

from producers.backends.base import Request
from producers.backends.openai import OpenAIBackend

_FIRST = 0x10E000  # private-use characters, placeholders of whole messages in the template
_PLACEHOLDER = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + 0xFFF)}]")


class BuiltinBackend(OpenAIBackend):
    """llama.cpp's server at `base_url`. Requests to another kind of server are sent unchanged."""

    async def _send(self, request: Request) -> Any:
        try:
            tokens = await self._prompt(request)
        except (openai.NotFoundError, openai.BadRequestError, openai.UnprocessableEntityError, KeyError, TypeError):
            tokens = None  # no server of llama.cpp's
        if tokens is None:
            return await super()._send(request)
        options: dict[str, Any] = dict(request.sampling.given())
        if request.stop:
            options["stop"] = list(request.stop)
        if request.json_schema is not None:
            options["extra_body"] = {"json_schema": dict(request.json_schema)}
        return await self.client.completions.create(model=self.model, prompt=tokens, **options)

    async def _prompt(self, request: Request) -> list[int] | None:
        """The tokens of a request whose texts hold names of special tokens; None for any other."""
        if await self._tokens(request.text, special=True) == await self._tokens(request.text, special=False):
            return None
        if request.prompt is not None:
            return await self._tokens(request.prompt, special=False, start=True)
        return await self._chat(request)

    async def _chat(self, request: Request) -> list[int]:
        """The tokens of a chat, by the server's template."""
        messages = [{"role": message.role, "content": chr(_FIRST + at)} for at, message in enumerate(request.messages)]
        template = (await self._post("/apply-template", {"messages": messages}))["prompt"]
        tokens: list[int] = []
        at = 0
        for found in _PLACEHOLDER.finditer(template):
            tokens += await self._tokens(template[at : found.start()], special=True, start=at == 0)
            tokens += await self._tokens(request.messages[ord(found[0]) - _FIRST].content, special=False)
            at = found.end()
        return tokens + await self._tokens(template[at:], special=True)

    async def _tokens(self, text: str, *, special: bool, start: bool = False) -> list[int]:
        """`special`: names of special tokens become tokens; `start`: add the token that starts a prompt."""
        body = {"content": text, "parse_special": special, "add_special": start}
        found: list[int] = (await self._post("/tokenize", body))["tokens"]
        return found

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        return await self.client.post(urljoin(str(self.client.base_url), path), body=body, cast_to=object)

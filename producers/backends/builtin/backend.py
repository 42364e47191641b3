"""The built-in server, asked so that names of special tokens in texts are text.

llama.cpp tokenises whole prompts: `<|im_end|>` in a seed about chat formats would end the turn. So its own tokenizer is
asked first, as text and as a prompt. Where the two differ (hardly ever) the prompt is sent as tokens: what the template
writes as ever, what was asked as text. All else goes the way of every endpoint.
"""

import re
from typing import Any
from urllib.parse import urljoin

import openai

from producers.backends.base import Request
from producers.backends.openai import OpenAIBackend

_FIRST = 0x10E000  # private characters, which stand for whole messages while the template is filled
_STAND_IN = re.compile(f"[{chr(_FIRST)}-{chr(_FIRST + 0xFFF)}]")


class BuiltinBackend(OpenAIBackend):
    """llama.cpp's server at `base_url`; another kind of server is asked as any endpoint is."""

    async def _send(self, request: Request) -> Any:
        texts = [request.prompt] if request.prompt is not None else [one.content for one in request.messages]
        try:
            whole = "\n".join(texts)
            if await self._tokens(whole, special=True) == await self._tokens(whole, special=False):
                return await super()._send(request)
            if request.prompt is not None:
                tokens = await self._tokens(request.prompt, special=False, begins=True)
            else:
                tokens = await self._chat(request)
        except openai.NotFoundError:
            return await super()._send(request)
        options: dict[str, Any] = dict(request.sampling.given())
        if request.stop:
            options["stop"] = list(request.stop)
        if request.json_schema is not None:
            options["extra_body"] = {"json_schema": dict(request.json_schema)}
        return await self._client.completions.create(model=self._model, prompt=tokens, **options)

    async def _chat(self, request: Request) -> list[int]:
        """The tokens of a chat by the server's template."""
        messages = [{"role": one.role, "content": chr(_FIRST + at)} for at, one in enumerate(request.messages)]
        template = (await self._post("/apply-template", {"messages": messages}))["prompt"]
        tokens: list[int] = []
        at = 0
        for found in _STAND_IN.finditer(template):
            tokens += await self._tokens(template[at : found.start()], special=True, begins=at == 0)
            tokens += await self._tokens(request.messages[ord(found[0]) - _FIRST].content, special=False)
            at = found.end()
        return tokens + await self._tokens(template[at:], special=True)

    async def _tokens(self, text: str, *, special: bool, begins: bool = False) -> list[int]:
        """`special`: names are tokens; `begins`: with the token, if any, that a prompt of this model begins with."""
        body = {"content": text, "parse_special": special, "add_special": begins}
        found: list[int] = (await self._post("/tokenize", body))["tokens"]
        return found

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        return await self._client.post(urljoin(str(self._client.base_url), path), body=body, cast_to=object)

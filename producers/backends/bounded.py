"""An HTTP client that reads no more of a response than a limit, so that an endpoint cannot fill the memory.

Counted is what a body has when it is decompressed. An error's body is cut at a few thousand characters' worth; any
other that is too long is given up, and its connection closed. What it would have said of its usage is not known then.
"""

from typing import Any

import httpx2
import openai

MOST_BYTES = 16 * 1024 * 1024
"""Of a response that is read: some times what an answer may have, so that what it says of its usage is read too."""

_MOST_ERROR_BYTES = 64 * 1024
_OF_THE_WIRE = ("content-encoding", "content-length", "transfer-encoding")


class BodyTooLarge(openai.OpenAIError):
    """A response was longer than `limit` bytes, and was given up. The client lets errors of this kind through."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


class BoundedClient(openai.DefaultAsyncHttpxClient):
    """Reads each response whole before it hands it out, up to `most_bytes`."""

    def __init__(self, *, most_bytes: int = MOST_BYTES, **options: Any) -> None:
        super().__init__(**options)
        self._most_bytes = most_bytes

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Send a request. Raises BodyTooLarge, and what the client raises."""
        response = await super().send(request, stream=True, **options)
        if stream:
            return response
        limit = _MOST_ERROR_BYTES if response.is_error else self._most_bytes
        body = bytearray()
        try:
            async for part in response.aiter_bytes():
                body += part
                if len(body) > limit:
                    break
        finally:
            await response.aclose()
        if len(body) > limit:
            if not response.is_error:
                raise BodyTooLarge(limit)
            del body[limit:]
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in _OF_THE_WIRE]
        return httpx2.Response(
            response.status_code,
            headers=headers,
            content=bytes(body),
            request=response.request,
            extensions=response.extensions,
            history=response.history,
        )

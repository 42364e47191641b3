"""An HTTP client that limits the bytes read of a response, so that an endpoint cannot fill the memory.

Decompressed bytes count. The body of an error is truncated. Any other body that is too long is abandoned and its
connection closed; its usage is not known then.
"""

from typing import Any

import httpx2
import openai

MOST_BYTES = 16 * 1024 * 1024
"""The most bytes of a response: several times those of an answer, so that the usage of a too large one is read."""

_MOST_ERROR_BYTES = 64 * 1024
_OF_THE_WIRE = ("content-encoding", "content-length", "transfer-encoding")


class BodyTooLarge(openai.OpenAIError):
    """A response was longer than `limit` bytes and was abandoned. The client passes errors of this class on."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


class BoundedClient(openai.DefaultAsyncHttpxClient):
    """Reads each response completely, up to `most_bytes`, before it returns it."""

    def __init__(self, *, most_bytes: int = MOST_BYTES, **options: Any) -> None:
        super().__init__(**options)
        self._most_bytes = most_bytes

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Send a request. Raises BodyTooLarge, and the client's own errors."""
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

"""The page's files, read once; no other path is served. They may be kept by a browser as long as they do not change."""

import base64
import hashlib
import re
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

PAGES = Path(__file__).parent / "pages"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_IN_PAGE = re.compile(r"<script type=\"importmap\">(.*?)</script>", re.DOTALL)


class PageFiles:
    """The files by their path; `index.html` is also what `/` gives."""

    def __init__(self) -> None:
        paths = (path for path in PAGES.rglob("*") if path.suffix in _TYPES)
        self._files = {path.relative_to(PAGES).as_posix(): (path.read_bytes(), _TYPES[path.suffix]) for path in paths}
        self._tags = {name: f'"{hashlib.sha256(body).hexdigest()[:32]}"' for name, (body, _) in self._files.items()}

    @property
    def scripts(self) -> tuple[str, ...]:
        """The scripts within the page's HTML, as sources of a Content-Security-Policy: the map of its imports."""
        found = _IN_PAGE.findall(self._files["index.html"][0].decode())
        digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found)
        return tuple(f"'sha256-{digest}'" for digest in digests)

    def answer(self, request: Request) -> Response:
        name = request.path_params.get("path") or "index.html"
        if name not in self._files:
            return Response("There is no such file.", status_code=404, media_type="text/plain")
        body, kind = self._files[name]
        headers = {"etag": self._tags[name], "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == self._tags[name]:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=kind, headers=headers)

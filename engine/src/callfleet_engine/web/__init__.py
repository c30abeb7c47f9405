"""The call page: plain files, served without a build step and under a strict policy."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

_FILES: Final = Path(__file__).parent
_STATIC: Final = ("call.css", "call.js", "media.js", "signalling.js")

_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


async def _page(_: web.Request) -> web.FileResponse:
    return web.FileResponse(_FILES / "index.html", headers=_HEADERS)


async def _static(request: web.Request) -> web.FileResponse:
    name = request.match_info["name"]
    if name not in _STATIC:
        raise web.HTTPNotFound
    return web.FileResponse(_FILES / name, headers=_HEADERS)


def add_routes(app: web.Application) -> None:
    """Serve the page at `/` and `/r/{room}`, and what it loads under `/static/`.

    It speaks `callfleet.v1` with `/api/v1/signal` of the same origin.
    """
    app.router.add_get("/", _page)
    app.router.add_get("/r/{room}", _page)
    app.router.add_get("/static/{name}", _static)

"""The call page: the files of `web/`, with headers that keep everything else out."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

WEB = Path(__file__).parent.parent / "web"

HEADERS = {
    # 'self' covers the page's own WebSocket too (CSP level 3, section 6.7.2.8).
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; media-src 'self' blob: mediastream:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(self), display-capture=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def add_routes(app: web.Application) -> None:
    """Serve `/`, `/r/{room}` and `/static/`."""
    app.router.add_get("/", _page)
    app.router.add_get("/r/{room}", _page)
    app.router.add_static("/static/", WEB)
    app.on_response_prepare.append(_protect)


async def _page(_: web.Request) -> web.StreamResponse:
    return web.FileResponse(WEB / "index.html")


async def _protect(request: web.Request, response: web.StreamResponse) -> None:
    if request.path == "/" or request.path.startswith(("/r/", "/static/")):
        response.headers.update(HEADERS)

"""The metrics port: `/metrics`, `/healthz`, `/readyz`."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from callfleet_engine.metrics import Metrics


def health_app(metrics: Metrics, why_not_ready: Callable[[], str | None]) -> web.Application:
    """`why_not_ready`: None while the pod serves; draining and full pods do serve."""

    async def expose(_: web.Request) -> web.Response:
        return web.Response(
            body=metrics.expose(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        reason = why_not_ready()
        if reason is None:
            return web.json_response({"status": "ready"})
        return web.json_response({"status": "not ready", "reason": reason}, status=503)

    app = web.Application()
    app.router.add_get("/metrics", expose)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    return app

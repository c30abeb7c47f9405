"""`/metrics` and `/healthz` of the operator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from callfleet_operator.reconcile.keys import Kind
from callfleet_operator.settings import ListenAddress


@dataclass(slots=True)
class Health:
    """What the liveness of the operator is judged by. Times are in seconds."""

    longest_wait: Callable[[], float]
    """For how long an object has waited for a round, or a round has run; 0 on standby."""
    round_ages: Callable[[], Mapping[Kind, float]]
    """Since the last round of each kind that ended well."""
    max_wait: float
    leading: Callable[[], bool]
    """Whether this replica acts; a standby is as alive, and as ready, as the leader."""

    def report(self) -> tuple[bool, dict[str, object]]:
        """Whether the operator is alive, and the figures.

        Rounds that fail are rounds: an API server or a Prometheus that is away makes nobody
        restart the operator, which would not help.
        """
        waited = self.longest_wait()
        alive = waited <= self.max_wait
        return alive, {
            "status": "ok" if alive else "stuck",
            "leading": self.leading(),
            "longestWaitSeconds": round(waited, 1),
            "maxWaitSeconds": self.max_wait,
            "lastRoundAgeSeconds": {
                str(kind): round(age, 1) for kind, age in self.round_ages().items()
            },
        }


def application(registry: CollectorRegistry, health: Health) -> web.Application:
    """The two pages."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    async def healthz(_request: web.Request) -> web.Response:
        alive, report = health.report()
        return web.json_response(report, status=200 if alive else 503)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/healthz", healthz)])
    return app


@asynccontextmanager
async def serving(app: web.Application, address: ListenAddress) -> AsyncIterator[ListenAddress]:
    """Serve until the block is left; yields where. Raises OSError if the address is taken."""
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host, address.port)
        await site.start()
        port = runner.addresses[0][1]
        yield ListenAddress(address.host, port)
    finally:
        await runner.cleanup()

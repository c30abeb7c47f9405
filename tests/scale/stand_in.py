"""One process in the place of all pods: their metrics, and their admin ports.

`python -m tests.scale.stand_in PAGE ADDRESS` serves the file PAGE at a free port of ADDRESS, which
it prints, and an admin interface that agrees to everything at port 9091 of the same address.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aiohttp import web

from callfleet_operator.gateway.pod_admin import PORT


async def serve(page: Path, address: str) -> web.AppRunner:
    """Begin; the returned runner ends it."""
    calls = 0

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=await asyncio.to_thread(page.read_bytes), headers={"Content-Type": "text/plain"}
        )

    async def admin(_: web.Request) -> web.Response:
        nonlocal calls
        calls += 1
        return web.json_response({})

    async def count(_: web.Request) -> web.Response:
        return web.Response(text=str(calls))

    app = web.Application()
    app.add_routes(
        [
            web.get("/metrics", metrics),
            web.get("/calls", count),
            web.route("*", "/admin/v1/{call}", admin),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, PORT).start()
    await web.TCPSite(runner, address, 0).start()
    return runner


def main() -> None:
    """Run until ended."""

    async def forever() -> None:
        runner = await serve(Path(sys.argv[1]), sys.argv[2])
        print(runner.addresses[1][1], flush=True)
        await asyncio.Event().wait()

    asyncio.run(forever())


if __name__ == "__main__":
    main()

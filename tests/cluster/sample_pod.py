"""What the tests of a node run in a pod: HTTP on 8000, UDP echo on 9000.

On SIGTERM it drains: it ends once the datagram `end` has come.
"""

from __future__ import annotations

import asyncio
import os
import signal

METRICS = b"# TYPE sample_info gauge\nsample_info 1\n"


class Echo(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # typeshed says BaseTransport
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(data, addr)
        if data == b"end":
            self.ended.set()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = (await reader.readline()).split()
    body = METRICS if request[1:2] == [b"/metrics"] else b"ok\n"
    head = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n"
    writer.write(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    await writer.drain()
    writer.close()


async def serve() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    _, echo = await loop.create_datagram_endpoint(Echo, local_addr=("0.0.0.0", 9000))
    await asyncio.start_server(answer, "0.0.0.0", 8000)
    print(f"serving as uid {os.getuid()}", flush=True)
    await stop.wait()
    print("draining", flush=True)
    await echo.ended.wait()
    print("drained", flush=True)


if __name__ == "__main__":
    asyncio.run(serve())

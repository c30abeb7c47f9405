"""Ports for servers that are told theirs before they run."""

from __future__ import annotations

import random
import socket

# Below the ports that the kernel gives to whoever asks for any (ip_local_port_range, ip(7)): what
# is free now is then most likely still free when the server binds it.
PORTS = range(20000, 32000)


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Different ports of an address that nobody has, neither for TCP nor for UDP.

    Raises:
        RuntimeError: there are not so many.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(PORTS, k=len(PORTS)):
        if _is_free(host, port):
            found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError(f"no {count} free ports between {PORTS.start} and {PORTS.stop - 1}")


def free_port(host: str = "127.0.0.1") -> int:
    """One of them."""
    return free_ports(1, host)[0]


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.bind((host, port))
        socket.create_server((host, port), family=family).close()
    except OSError:
        return False
    return True

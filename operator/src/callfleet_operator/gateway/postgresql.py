"""How many connections a PostgreSQL server has, asked as an engine would connect.

Source: postgresql.org, "Connections and Authentication" (max_connections and what is reserved of
it), pg_database.datconnlimit, pg_roles.rolconnlimit.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from typing import Final

import asyncpg

_QUESTION: Final = """
SELECT current_setting('max_connections')::int AS maximum,
       current_setting('superuser_reserved_connections')::int
         + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved,
       (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS for_database,
       (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS for_user
"""


class DatabaseError(Exception):
    """The server could not be asked; the message says why, and holds no credentials."""


class DatabaseRefusedError(DatabaseError):
    """The server was reached, and wants nothing to do with this user or database."""


class DatabaseFullError(DatabaseError):
    """The server was reached, and has no connection left."""


@dataclass(frozen=True, slots=True)
class Connections:
    """How many connections one user may have to one database."""

    maximum: int
    """max_connections of the server."""
    usable: int
    """Of them, without those that are reserved, or fewer if database or user are limited."""


async def connections(uri: str, within: float) -> Connections:
    """Ask the server of a `postgresql://` URI. Raises DatabaseError within so many seconds."""
    try:
        async with asyncio.timeout(within):
            connection = await asyncpg.connect(uri)
            try:
                row = await connection.fetchrow(_QUESTION)
            finally:
                connection.terminate()
    except TimeoutError as late:
        raise DatabaseError(f"no answer within {within:g} s") from late
    except ssl.SSLError as refused:
        raise DatabaseError(f"TLS: {refused.reason or refused}") from refused
    except socket.gaierror as unknown:
        raise DatabaseError(f"the host is not known here: {unknown.strerror}") from unknown
    except OSError as refused:
        raise DatabaseError(refused.strerror or "the connection was refused") from refused
    except asyncpg.TooManyConnectionsError as full:
        raise DatabaseFullError(str(full).rstrip(".")) from full
    except asyncpg.PostgresError as refused:
        raise DatabaseRefusedError(str(refused).rstrip(".")) from refused
    except (asyncpg.InterfaceError, ValueError):
        # Their texts may quote the URI.
        raise DatabaseRefusedError("the URI is none that PostgreSQL's clients take") from None
    limits = [one for one in (row["for_database"], row["for_user"]) if one >= 0]  # -1: none
    usable = min([row["maximum"] - row["reserved"], *limits])
    return Connections(maximum=row["maximum"], usable=usable)

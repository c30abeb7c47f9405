"""What a failing database means to the engine: errors of the drivers, in words that help.

Everything here is pure. Texts of the drivers are quoted only where they cannot hold credentials
or values of columns.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

import asyncpg
from sqlalchemy import exc

from callfleet_engine.store.interface import (
    InvalidDatabaseUrl,
    StoreError,
    StoreFault,
    StoreUnavailable,
)
from callfleet_engine.store.settings import Location

_AGAIN = "The engine tries again by itself."
# https://www.postgresql.org/docs/current/errcodes-appendix.html, by longest prefix
_POSTGRESQL: dict[str, tuple[str, str]] = {
    "0A000": ("has had its tables changed by a newer release", "Repeat the operation."),
    "08": ("lost the connection", f"Check the server and the network to it. {_AGAIN}"),
    "25006": (
        "is read-only, as a standby is",
        "Point the database URL to the primary, or set target_session_attrs=read-write.",
    ),
    "28": (
        "refused the user name or password",
        "Check the URL, in a cluster the Secret it comes from, and the server's pg_hba.conf.",
    ),
    "3D000": (
        "has no such database",
        "Create it (createdb), or correct the database's name in the URL.",
    ),
    "40": ("rolled back after a conflict with another transaction", "Repeat the operation."),
    "42501": (
        "denied permission",
        "Make the user the owner of the database, or grant it CREATE and USAGE on the schema.",
    ),
    "42704": (
        "does not know a setting of the connection",
        "Callfleet needs PostgreSQL 14 or later; check the query parameters of the database URL.",
    ),
    "53": (
        "is out of resources",
        (
            "If connections ran out, lower spec.store.postgresql.maxConnectionsPerPod (all pods "
            "together should stay below a quarter of the server's max_connections); otherwise "
            "see to its disk and memory."
        ),
    ),
    "55P03": ("is locked by another program", f"See pg_locks for the holder. {_AGAIN}"),
    "57014": (
        "cancelled a statement that took too long",
        f"See pg_stat_activity for what keeps it busy. {_AGAIN}",
    ),
    "57": ("is starting up or shutting down", _AGAIN),
    "58": ("had a system error", f"See the server's log. {_AGAIN}"),
}
_SQLITE: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_BUSY: ("is locked by another program", f"Find it with fuser. {_AGAIN}"),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "Its directory must exist and be writable for the engine's user.",
    ),
    sqlite3.SQLITE_READONLY: (
        "is read-only",
        "File and directory must be writable for the engine's user.",
    ),
    sqlite3.SQLITE_FULL: ("has no room left on its disk", f"Free some. {_AGAIN}"),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", "Check its disk and see the kernel's log."),
    sqlite3.SQLITE_CORRUPT: ("is damaged", "Restore it from a copy, or move it away."),
    sqlite3.SQLITE_NOTADB: ("is no SQLite database", "Move it away, or name another file."),
}

DRIVER_ERRORS: Final = (
    OSError,
    exc.SQLAlchemyError,
    sqlite3.Error,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)
"""What the drivers and the pool raise; `describe` says which of them are the database's doing."""


def describe(error: BaseException, location: Location) -> StoreError:
    """The store's error for one of DRIVER_ERRORS."""
    for cause in _causes(error):
        for kind, explain in _EXPLANATIONS:
            if isinstance(cause, kind):
                return explain(cause, location)
    return _fault(type(error).__name__, location)


def silent(location: Location) -> StoreUnavailable:
    """The database did not answer in time."""
    return StoreUnavailable(
        f"{location} did not answer in time.",
        f"Check that it runs, how busy it is, and the network to it. {_AGAIN}",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it stems from, the driver's own error included."""
    link: BaseException | None = error
    while link is not None:
        yield link
        if isinstance(link, exc.DBAPIError) and link.orig is not None:
            link = link.orig
        else:
            link = link.__cause__


def _parameters(_: BaseException, location: Location) -> StoreError:
    return InvalidDatabaseUrl(
        f"The client of {location} cannot use the URL's parameters.",
        "They are libpq's: sslmode, sslrootcert, target_session_attrs and so on.",
    )


def _postgresql(error: BaseException, location: Location) -> StoreError:
    state = str(getattr(error, "sqlstate", None) or "")
    known = _POSTGRESQL.get(state) or _POSTGRESQL.get(state[:2])
    if known is None:
        return _fault(f"SQLSTATE {state}", location)
    what, remedy = known
    return StoreUnavailable(f"{location} {what} (SQLSTATE {state}).", remedy)


def _sqlite(error: BaseException, location: Location) -> StoreError:
    # Extended result codes (https://www.sqlite.org/rescode.html) hold the primary one in 8 bits.
    code = getattr(error, "sqlite_errorcode", None)
    known = None if code is None else _SQLITE.get(code & 0xFF)
    if known is None:
        return _fault(type(error).__name__, location)
    what, remedy = known
    return StoreUnavailable(f"{location} {what} ({error}).", remedy)


def _fault(what: str, location: Location) -> StoreFault:
    return StoreFault(
        f"{location} did not accept an operation of the store ({what}).",
        "Nothing was written. See the log for the cause and report it as a fault of Callfleet.",
    )


def _busy(_: BaseException, location: Location) -> StoreError:
    return StoreUnavailable(
        f"All connections to {location} were busy for too long.",
        "If the database itself is quick, allow more connections a pod.",
    )


def _silent(_: BaseException, location: Location) -> StoreError:
    return silent(location)


def _unreachable(error: BaseException, location: Location) -> StoreError:
    return StoreUnavailable(
        f"{location} cannot be reached ({error}).",
        f"Check that it runs, its address, and the network policies between. {_AGAIN}",
    )


def _lost(_: BaseException, location: Location) -> StoreError:
    return StoreUnavailable(f"{location} {_POSTGRESQL['08'][0]}.", _POSTGRESQL["08"][1])


_Explain = Callable[[BaseException, Location], StoreError]
_EXPLANATIONS: tuple[tuple[type[BaseException], _Explain], ...] = (
    (asyncpg.ClientConfigurationError, _parameters),
    (asyncpg.PostgresError, _postgresql),
    (asyncpg.InterfaceError, _lost),
    (sqlite3.Error, _sqlite),
    (exc.TimeoutError, _busy),
    (TimeoutError, _silent),
    (OSError, _unreachable),
)
"""In this order: the narrower kind first."""

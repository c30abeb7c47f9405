"""Where the store's database is, and the bounds on its use. Never shows credentials."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from callfleet_engine.store.interface import InvalidDatabaseUrl

FORMS: Final = (
    "Write sqlite:///calls.db (relative), sqlite:////absolute/path/calls.db, "
    "or postgresql://USER:PASSWORD@HOST:5432/DATABASE."
)
ENCODE: Final = (
    "Percent-encode special characters in its user name and password (@ is %40, / is %2F, "
    ": is %3A, # is %23, ? is %3F)."
)
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[\w.%-]*)(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A database in a file, for one engine pod."""

    path: Path

    def __str__(self) -> str:
        return f"SQLite file {self.path}"


@dataclass(frozen=True, slots=True)
class PostgresqlServer:
    """A database that any number of engine pods share."""

    dsn: str = field(repr=False)
    """libpq's URI; holds credentials."""
    where: str
    """Host, port and database, for messages."""

    def __str__(self) -> str:
        return f"PostgreSQL at {self.where}"


Location = SqliteFile | PostgresqlServer


def parse_database_url(url: str) -> Location:
    """Where the URL points to.

    Raises:
        InvalidDatabaseUrl: neither of the two forms. The text never quotes the URL, for a
            misspelt one may have its password anywhere.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidDatabaseUrl("The database URL is not well-formed.", FORMS) from None
    if parts.scheme == "sqlite":
        return _sqlite(url)
    if parts.scheme == "postgresql":
        return _postgresql(url, parts)
    raise InvalidDatabaseUrl(
        "The database URL begins with neither sqlite:/// nor postgresql://.", FORMS
    )


def _sqlite(url: str) -> SqliteFile:
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path.startswith(":") or "?" in path or "\x00" in path:
        raise InvalidDatabaseUrl("The SQLite URL names no file.", FORMS)
    return SqliteFile(Path(path))


def _postgresql(url: str, parts: SplitResult) -> PostgresqlServer:
    credentials, _, hosts = parts.netloc.rpartition("@")
    if (
        "@" in credentials
        or credentials.count(":") > 1
        or "@" in parts.path + parts.query
        or "#" in url
        or not all(_HOST.fullmatch(host) for host in hosts.split(","))
    ):
        raise InvalidDatabaseUrl("The PostgreSQL URL is not well-formed.", ENCODE)
    if len(parts.path) < 2 or "/" in parts.path[1:]:
        raise InvalidDatabaseUrl("The PostgreSQL URL does not name one database.", FORMS)
    return PostgresqlServer(dsn=url, where=f"{hosts or 'the default socket'}{parts.path}")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """What the store needs to know before it opens."""

    location: Location
    connections: int = 10
    """Most connections of this pod to PostgreSQL; 10 to 25 are advised."""
    retention: timedelta = timedelta(days=30)
    """How long ended calls, their participants and their hourly figures are kept."""
    consumer: str = ""
    """NAMESPACE/NAME of the CallCluster; a database serves one only. Empty: not checked."""
    connect_timeout: timedelta = timedelta(seconds=5)
    operation_timeout: timedelta = timedelta(seconds=10)
    """Bound on each operation with all its statements and the wait for a connection."""
    migration_timeout: timedelta = timedelta(minutes=5)
    """Bound on bringing the schema up to date, with the wait for another pod that is at it."""

    def __post_init__(self) -> None:
        if not 1 <= self.connections <= 100:
            raise ValueError(f"connections must be 1 to 100, not {self.connections}")
        if self.retention < timedelta(days=1):
            raise ValueError(f"retention must be at least one day, not {self.retention}")

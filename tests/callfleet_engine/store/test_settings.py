"""URLs of databases: two forms, and never a password in an error."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callfleet_engine.store.interface import InvalidDatabaseUrl
from callfleet_engine.store.settings import (
    PostgresqlServer,
    SqliteFile,
    StoreSettings,
    parse_database_url,
)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///calls.db", "calls.db"),
        ("sqlite:////var/lib/callfleet/calls.db", "/var/lib/callfleet/calls.db"),
        ("sqlite:///data/50%.db", "data/50%.db"),
    ],
)
def test_sqlite_files(url: str, path: str) -> None:
    assert parse_database_url(url) == SqliteFile(Path(path))


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://ada:s3cret@db:5432/calls", "db:5432/calls"),
        ("postgresql://db/calls", "db/calls"),
        ("postgresql://ada:s%40cret@[2001:db8::1]:5432/calls", "[2001:db8::1]:5432/calls"),
        ("postgresql://ada:x@a:1,b:2/calls?target_session_attrs=read-write", "a:1,b:2/calls"),
        ("postgresql://ada@%2Fvar%2Frun%2Fpostgresql/calls", "%2Fvar%2Frun%2Fpostgresql/calls"),
        ("postgresql:///calls?host=/run/postgresql&password=x", "the default socket/calls"),
    ],
)
def test_postgresql_servers(url: str, where: str) -> None:
    location = parse_database_url(url)

    assert location == PostgresqlServer(dsn=url, where=where)
    assert str(location) == f"PostgreSQL at {where}"
    assert url not in repr(StoreSettings(location))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "calls.db",
        "sqlite://calls.db",
        "sqlite:///",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///calls.db?mode=ro",
        "postgres://db/calls",
        "postgresql+asyncpg://db/calls",
        "mysql://db/calls",
        "postgresql://db",
        "postgresql://db/",
        "postgresql://db/a/b",
        "postgresql://[::1/calls",
        "postgresql://db:port/calls",
    ],
)
def test_anything_else_is_refused_with_the_two_forms(url: str) -> None:
    with pytest.raises(InvalidDatabaseUrl, match=r"sqlite:///calls\.db|Percent-encode"):
        parse_database_url(url)


@given(st.text(min_size=6, max_size=20).filter(lambda text: text.strip() == text))
def test_a_password_is_never_shown(password: str) -> None:
    for written in (password, quote(password, safe="")):
        url = f"postgresql://ada:{written}@db:5432/calls"
        try:
            location = parse_database_url(url)
        except InvalidDatabaseUrl as error:
            assert written == password
            shown = str(error)
        else:
            shown = f"{location} {location!r}"
            assert str(location) == "PostgreSQL at db:5432/calls"
        assert password not in shown


@pytest.mark.parametrize("slip", ["s3cr3t@x", "1/s3cr3t", "1?s3cr3t", "1#s3cr3t", "s3:cr3t"])
def test_a_password_with_special_characters_asks_for_encoding(slip: str) -> None:
    with pytest.raises(InvalidDatabaseUrl, match=r"Percent-encode.*%40") as error:
        parse_database_url(f"postgresql://ada:{slip}@db:5432/calls")
    assert "cr3t" not in str(error.value)


def test_bounds_of_the_settings() -> None:
    file = SqliteFile(Path("calls.db"))
    with pytest.raises(ValueError, match="connections must be 1 to 100, not 0"):
        StoreSettings(file, connections=0)
    with pytest.raises(ValueError, match="at least one day"):
        StoreSettings(file, retention=timedelta(hours=23))

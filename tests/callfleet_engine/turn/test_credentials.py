"""TURN credentials, against values computed with OpenSSL's command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from callfleet_engine.turn.credentials import (
    ConsumerKey,
    ConsumerSigner,
    PlainSigner,
    read_keys,
    read_secret,
)

# master 0123456789abcdef0123456789abcdef, consumer team/calls
KEY = ConsumerKey("3d94befc", "LeDCNnfzDLwov8t1qFErYM69zmwKcxagnoBNwo5a48Y=")
EXPIRES = 1_767_225_600


def test_credential_of_a_consumer() -> None:
    credential = ConsumerSigner(KEY, "team/calls").sign("ada", EXPIRES)
    assert credential.username == "1767225600:3d94befc:team/calls:ada"
    assert credential.password == "lR77hZSNtRLLoFOHiAL+QNWPaRI="


def test_credential_of_a_stand_alone_relay() -> None:
    credential = PlainSigner("0123456789abcdef0123456789abcdef").sign("ada", EXPIRES)
    assert credential.username == "1767225600:ada"
    assert credential.password == "/GNwztv4wi3BUdvDNO9WKqRDVJo="


def test_the_first_line_signs(tmp_path: Path) -> None:
    (tmp_path / "infra.relays").write_text(f"{KEY.key_id} {KEY.key}\n00000000 older\n")
    (tmp_path / "infra.more.relays").write_text("00000000 key")
    (tmp_path / "..data").mkdir()
    assert read_keys(tmp_path) == {
        "infra/relays": KEY,
        "infra/more.relays": ConsumerKey("00000000", "key"),
    }


@pytest.mark.parametrize("content", ["", "key", "xyz key", "3d94befc ", "3d94befc a b"])
def test_a_broken_key_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "infra.relays").write_text(content)
    with pytest.raises(ValueError, match=r"infra\.relays: the first line must be KEYID KEY"):
        read_keys(tmp_path)


def test_a_key_file_needs_its_pool(tmp_path: Path) -> None:
    (tmp_path / "relays").write_text(f"{KEY.key_id} {KEY.key}")
    with pytest.raises(ValueError, match=r"must be POOLNAMESPACE\.POOLNAME"):
        read_keys(tmp_path)


def test_secret(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s" * 32 + "\nolder")
    assert read_secret(file) == "s" * 32
    file.write_text("short\n")
    with pytest.raises(ValueError, match="has 5 characters"):
        read_secret(file)

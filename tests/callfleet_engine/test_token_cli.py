"""`callfleet token` as a person types it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from callfleet_engine.token_cli import token
from callfleet_engine.token_keys import parse_keys
from callfleet_engine.tokens import JoinKeys, Permission


def run(*arguments: object) -> Result:
    return CliRunner().invoke(token, [str(argument) for argument in arguments])


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(run("keys").stdout)
    return path


def test_a_token_of_the_made_keys_is_good(keys_file: Path) -> None:
    done = run("--keys-file", keys_file, "--room", "demo", "--identity", "ada", "--ttl", "15m")

    grant = JoinKeys(keys_file).verify(done.stdout.strip())

    assert (grant.identity, grant.room) == ("ada", "demo")
    assert grant.can == {Permission.PUBLISH, Permission.SUBSCRIBE, Permission.START}
    remaining = grant.expires - datetime.now(UTC)
    assert timedelta(minutes=14) < remaining <= timedelta(minutes=15)


def test_a_link_carries_the_token_in_its_fragment(keys_file: Path) -> None:
    done = run(
        *("--keys-file", keys_file, "--room", "Büro 1/2", "--identity", "ada"),
        *("--can", "subscribe,moderate", "--link", "http://localhost:8080/"),
    )

    address, _, text = done.stdout.strip().partition("#token=")

    assert address == "http://localhost:8080/r/B%C3%BCro%201%2F2"
    grant = JoinKeys(keys_file).verify(text)
    assert grant.room == "Büro 1/2"
    assert grant.can == {Permission.SUBSCRIBE, Permission.MODERATE}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--room", "demo"), "Give --keys-file, --identity"),
        (
            ("--keys-file", "none.json", "--room", "a", "--identity", "b"),
            "none.json cannot be read",
        ),
        (("--ttl", "0s"), "0s is no duration up to 366d, such as"),
        (("--ttl", "367d"), "367d is no duration"),
        (("--ttl", "soon"), "soon is no duration"),
        (("--can", "fly"), "use some of publish, subscribe, moderate, start"),
        (("--can", ""), "use some of publish"),
        (("--link", "localhost:8080"), "write http://HOST:PORT or https://HOST"),
        (("--link", "http://[::1"), "is no URL"),
        (("keys", "--keep", "a", "--public-of", "b"), "give one of them"),
        (("keys", "--keep", "none.json"), "none.json cannot be read"),
    ],
)
def test_mistakes_are_explained(arguments: tuple[str, ...], says: str) -> None:
    done = run(*arguments)

    assert done.exit_code != 0
    assert says in done.stderr
    assert done.stdout == ""


def test_a_room_that_no_token_can_carry(keys_file: Path) -> None:
    done = run("--keys-file", keys_file, "--room", "r" * 129, "--identity", "ada")

    assert done.exit_code == 2
    assert "room is no text of 1 to 128 characters" in done.stderr


def test_keys_as_a_secret_for_kubectl() -> None:
    done = run("keys", "-o", "secret", "--name", "demo-keys", "--namespace", "calls")

    secret = yaml.safe_load(done.stdout)

    assert (secret["apiVersion"], secret["kind"]) == ("v1", "Secret")
    assert secret["metadata"] == {"name": "demo-keys", "namespace": "calls"}
    assert len(parse_keys(secret["stringData"]["keys.json"].encode())) == 1
    assert yaml.safe_load(run("keys", "-o", "secret").stdout)["metadata"] == {"name": "join-keys"}


def test_rotation_keeps_the_old_keys_behind_the_new_one(keys_file: Path) -> None:
    old = run("--keys-file", keys_file, "--room", "demo", "--identity", "ada").stdout.strip()
    (old_kid,) = parse_keys(keys_file.read_bytes())
    keys_file.write_text(run("keys", "--keep", keys_file, "--algorithm", "EdDSA").stdout)

    assert list(parse_keys(keys_file.read_bytes()))[1:] == [old_kid]
    assert JoinKeys(keys_file).verify(old).identity == "ada"


def test_engines_can_be_given_public_keys_only(tmp_path: Path) -> None:
    private, public = tmp_path / "private.json", tmp_path / "public.json"
    private.write_text(run("keys", "--algorithm", "EdDSA").stdout)
    public.write_text(run("keys", "--public-of", private).stdout)
    text = run("--keys-file", private, "--room", "demo", "--identity", "ada").stdout.strip()

    assert "d" not in json.loads(public.read_text())["keys"][0]
    assert JoinKeys(public).verify(text).identity == "ada"
    refused = run("--keys-file", public, "--room", "demo", "--identity", "ada")
    assert "public key, which cannot sign" in refused.stderr


def test_an_hs256_key_has_no_public_part(keys_file: Path) -> None:
    assert "has no public part" in run("keys", "--public-of", keys_file).stderr


@pytest.mark.parametrize("arguments", [("--help",), ("keys", "--help")])
def test_help_has_examples(arguments: tuple[str, ...]) -> None:
    assert "callfleet token keys > " in run(*arguments).stdout

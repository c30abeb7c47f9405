"""`callfleet token`: join tokens, links with a token, and the keys that sign them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import click
import yaml

from callfleet_engine.token_keys import (
    Algorithm,
    KeysFileInvalid,
    new_key,
    public_part,
    read_keys,
    to_jwk,
)
from callfleet_engine.tokens import Grant, JoinKeys, Permission

LONGEST_LIFE: Final = timedelta(days=366)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Duration(click.ParamType[timedelta]):
    """30s, 15m, 1h, 7d."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Raises click.BadParameter unless the text is a duration."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([1-9]\d{0,8})([smhd])", str(value))
        duration = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else timedelta.max
        if duration > LONGEST_LIFE:
            self.fail(f"{value} is no duration up to 366d, such as 30s, 15m, 1h or 7d", param, ctx)
        return duration


class Permissions(click.ParamType[frozenset[Permission]]):
    """Names of permissions, separated by commas."""

    name = "permissions"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[Permission]:
        """Raises click.BadParameter for an unknown name."""
        if isinstance(value, frozenset):
            return value
        try:
            return frozenset(Permission(name.strip()) for name in str(value).split(","))
        except ValueError:
            self.fail(f"{value}: use some of {', '.join(Permission)}, with commas", param, ctx)


class PageAddress(click.ParamType[str]):
    """Where users reach the call page."""

    name = "url"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Raises click.BadParameter unless the text is an http or https URL."""
        text = str(value).rstrip("/")
        try:
            parts = urlsplit(text)
        except ValueError:
            self.fail(f"{value} is no URL", param, ctx)
        if parts.scheme not in {"http", "https"} or not parts.netloc or parts.query:
            self.fail(f"{value}: write http://HOST:PORT or https://HOST", param, ctx)
        return text


@click.group(
    invoke_without_command=True,
    short_help="Make join tokens and links, and the keys that sign them.",
)
@click.option(
    "--keys-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="JWK Set with a key that can sign; the first such key signs.",
)
@click.option("--room", help="Room the token is for.")
@click.option("--identity", help="Who bears it: the name by which your system knows the person.")
@click.option(
    "--can",
    type=Permissions(),
    default="publish,subscribe,start",
    show_default=True,
    help=f"What it allows, of {', '.join(Permission)}.",
)
@click.option(
    "--ttl", type=Duration(), default="1h", show_default=True, help="How long one may join with it."
)
@click.option(
    "--link",
    type=PageAddress(),
    help="Print the call page's link at this address instead of the bare token.",
)
@click.pass_context
def token(
    ctx: click.Context,
    *,
    keys_file: Path | None,
    room: str | None,
    identity: str | None,
    can: frozenset[Permission],
    ttl: timedelta,
    link: str | None,
) -> None:
    """Make a join token, which lets its bearer into one room.

    Examples:

    \b
      callfleet token keys > keys.json
      callfleet token --keys-file keys.json --room demo --identity ada
      callfleet token --keys-file keys.json --room demo --identity ada \\
          --can subscribe --ttl 15m --link http://localhost:8080

    The keys of a CallCluster are in its Secret:

    \b
      kubectl get secret join-keys -o jsonpath='{.data.keys\\.json}' \\
          | base64 -d > keys.json
    """
    if ctx.invoked_subcommand is not None:
        return
    if keys_file is None or room is None or identity is None:
        absent = {"--keys-file": keys_file, "--room": room, "--identity": identity}
        names = ", ".join(name for name, value in absent.items() if value is None)
        raise click.UsageError(f"Give {names}. See callfleet token --help for examples.")
    grant = Grant(identity=identity, room=room, can=can, expires=datetime.now(UTC) + ttl)
    try:
        text = JoinKeys(keys_file).mint(grant)
    except KeysFileInvalid as flaw:
        raise click.ClickException(str(flaw)) from flaw
    except ValueError as flaw:
        raise click.UsageError(str(flaw)) from flaw
    click.echo(f"{link}/r/{quote(room, safe='')}#token={text}" if link else text)


@token.command()
@click.option(
    "--algorithm",
    type=click.Choice([algorithm.value for algorithm in Algorithm]),
    default=Algorithm.HS256.value,
    show_default=True,
    help="HS256: one secret signs and verifies. EdDSA: the engines need the public part only.",
)
@click.option(
    "--keep",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Put the new key before those of this file, whose tokens stay good (rotation).",
)
@click.option(
    "--public-of",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Make no key: print the public parts of this file's EdDSA keys, for the engines.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["json", "secret"]),
    default="json",
    show_default=True,
    help="JWK Set, or a Secret with one as keys.json for kubectl apply.",
)
@click.option("--name", default="join-keys", show_default=True, help="Name of the Secret.")
@click.option("--namespace", help="Namespace of the Secret; absent: kubectl's.")
def keys(
    *,
    algorithm: str,
    keep: Path | None,
    public_of: Path | None,
    output: str,
    name: str,
    namespace: str | None,
) -> None:
    """Make a key to sign join tokens with, and print it as a JWK Set.

    Keep the output secret: who has it can enter every room.

    \b
      callfleet token keys > keys.json
      callfleet token keys -o secret --name join-keys | kubectl apply -f -

    Rotation: the new key signs, tokens of the old one stay good until they expire.

    \b
      callfleet token keys --keep keys.json > new.json && mv new.json keys.json

    Keys that the engines cannot sign with:

    \b
      callfleet token keys --algorithm EdDSA > private.json
      callfleet token keys --public-of private.json -o secret | kubectl apply -f -
    """
    if keep is not None and public_of is not None:
        raise click.UsageError("--keep adds a new key, --public-of makes none: give one of them.")
    try:
        if public_of is not None:
            chosen = [public_part(key) for key in read_keys(public_of).values()]
        else:
            chosen = [new_key(Algorithm(algorithm))]
            chosen += read_keys(keep).values() if keep is not None else []
    except KeysFileInvalid as flaw:
        raise click.ClickException(str(flaw)) from flaw
    document = {"keys": [to_jwk(key) for key in chosen]}
    if output == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(_secret(json.dumps(document), name, namespace), nl=False)


def _secret(document: str, name: str, namespace: str | None) -> str:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "stringData": {"keys.json": document},
    }
    return yaml.safe_dump(manifest, sort_keys=False, width=float("inf"))

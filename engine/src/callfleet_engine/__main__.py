"""The command `callfleet-engine`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from callfleet_engine import logs
from callfleet_engine.engine import run
from callfleet_engine.settings import InvalidSettings, load

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    context_settings={
        "auto_envvar_prefix": "CALLFLEET_ENGINE",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
    epilog="Every flag is also read from the environment: CALLFLEET_ENGINE_KEYS_FILE for "
    "--keys-file; several values are separated by spaces. When everything listens, one JSON line "
    "on standard output says where.",
)
@click.version_option(package_name="callfleet")
@click.option("--listen", metavar="HOST:PORT", help="Signalling and page.  [127.0.0.1:8080]")
@click.option(
    "--listen-tls",
    metavar="HOST:PORT",
    help="Signalling, the page and WHIP over TLS, beside --listen, on which engines reach each "
    "other.",
)
@click.option(
    "--tls-cert", type=FILE, help="PEM certificate of --listen-tls, its chain after it. Followed."
)
@click.option("--tls-key", type=FILE, help="Its PEM key, without a passphrase. Followed.")
@click.option(
    "--media-address",
    multiple=True,
    metavar="IP",
    help="Address of this host that media is sent to and from; one of IPv4 and one of IPv6.  "
    "[127.0.0.1]",
)
@click.option(
    "--media-port",
    type=int,
    metavar="PORT",
    help="UDP port of all media; 0 takes a free one.  [0]",
)
@click.option(
    "--external-address",
    multiple=True,
    metavar="IP",
    help="By which clients reach the media port, where that is another address.",
)
@click.option(
    "--external-address-file",
    type=FILE,
    help="The same, a line each with where it comes from; read again when it changes. No calls "
    "are taken while it is empty.",
)
@click.option(
    "--external-address-from",
    metavar="stun:HOST:PORT",
    help="The same, as this STUN server sees the first --media-address; asked again every five "
    "minutes. No calls are taken before it has answered.",
)
@click.option(
    "--advertise",
    type=click.Choice(["internal", "external", "both"]),
    help="Which addresses clients are told.  [external if one is given]",
)
@click.option("--keys-file", type=FILE, help="JWK Set that join tokens are verified with.")
@click.option("--open", is_flag=True, default=None, help="Let everybody join without a token.")
@click.option(
    "--database",
    metavar="URL",
    help="sqlite:///FILE or postgresql://USER@HOST/DATABASE; several engines need PostgreSQL.  "
    "[sqlite:///calls.db]",
)
@click.option("--database-connections", type=int, metavar="N", help="At most these.  [10]")
@click.option("--retention-days", type=int, metavar="N", help="Ended calls are kept.  [30]")
@click.option("--turn", multiple=True, metavar="URL", help="A relay, as turn:HOST:PORT.")
@click.option("--turn-secret-file", type=FILE, help="First line: the secret of these relays.")
@click.option(
    "--turn-keys-directory",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A file POOLNAMESPACE.POOLNAME with KEYID KEY for each pool of relays.",
)
@click.option(
    "--turn-credential-lifetime",
    type=int,
    metavar="SECONDS",
    help="Of a client's; longer than any call.  [43200]",
)
@click.option("--consumer", metavar="NAMESPACE/NAME", help="The CallCluster of this engine.")
@click.option(
    "--require-relay", is_flag=True, default=None, help="Clients reach this engine by relays only."
)
@click.option("--capacity", type=int, metavar="N", help="Participants at most.  [150]")
@click.option("--limits-file", type=FILE, help="limits.json; wins over --capacity.")
@click.option(
    "--quality-presets",
    type=FILE,
    help="presets.yaml: what publishers send at most; read again when it changes.  [built-in ones]",
)
@click.option(
    "--mediaplane",
    type=click.Choice(["auto", "python", "native"]),
    help="What forwards media; auto: native where it loads.  [auto]",
)
@click.option("--metrics", metavar="HOST:PORT", help="Metrics and health.  [127.0.0.1:9090]")
@click.option("--admin", metavar="HOST:PORT", help="Admin interface.  [127.0.0.1:9091]")
@click.option(
    "--admin-keys-file",
    type=FILE,
    help="JWK Set of the operator; without it the admin interface stays on loopback.",
)
@click.option(
    "--allowed-origins",
    multiple=True,
    metavar="ORIGIN",
    help="Other sites whose pages may connect, * for all.",
)
@click.option("--pod-name", metavar="NAME", help="This engine's name.")
@click.option("--pod-uid", metavar="UID", help="This engine's identity.  [random]")
@click.option("--pod-address", metavar="HOST[:PORT]", help="Where other engines reach --listen.")
@click.option(
    "--heartbeat-seconds", type=float, metavar="S", help="Three missed ones are death.  [3]"
)
@click.option(
    "--termination-grace",
    type=float,
    metavar="S",
    help="After SIGTERM, wait so long for calls to end.  [3595]",
)
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="  [info]"
)
def main(**values: object) -> None:
    """Host WebRTC calls: signalling, selective forwarding of media, a call page."""
    given = {name: value for name, value in values.items() if value not in (None, ())}
    try:
        settings = load(given)
    except InvalidSettings as error:
        raise click.UsageError(str(error)) from error
    logs.configure(settings.log_level)
    try:
        asyncio.run(run(settings))
    except InvalidSettings as error:
        raise click.UsageError(str(error)) from error


if __name__ == "__main__":
    main()

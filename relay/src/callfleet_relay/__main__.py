"""The command `callfleet-relay`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import uvloop
from pydantic import ValidationError

from callfleet_relay import logs
from callfleet_relay.files import allow_files
from callfleet_relay.serve import StartError, serve
from callfleet_relay.settings import Settings, describe

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": "CALLFLEET_RELAY",
    "max_content_width": 100,
    "show_default": True,
}


@click.command(context_settings=CONTEXT)
@click.option(
    "--listen",
    help="Where clients come: udp://IP:PORT, tcp://IP:PORT or tls://IP:PORT. Repeatable; port 0: "
    "any.",
    multiple=True,
)
@click.option(
    "--cert",
    help="PEM file with the certificate of the TLS listeners and its chain. Followed as it "
    "changes.",
    type=click.Path(path_type=Path),
)
@click.option("--key", help="PEM file with the certificate's key.", type=click.Path(path_type=Path))
@click.option(
    "--proxy-protocol-from",
    help="CIDR of load balancers whose TCP and TLS connections begin with a PROXY protocol "
    "header, version 2. Repeatable.",
    multiple=True,
)
@click.option("--max-connections", help="TCP and TLS connections at a time.", type=int)
@click.option(
    "--max-connections-per-address",
    help="TCP and TLS connections of one IPv4 address, or one /64 of IPv6, at a time.",
    type=int,
)
@click.option(
    "--idle-limit",
    help="Seconds a TCP or TLS connection may be without an allocation.",
    type=int,
)
@click.option(
    "--relay-address",
    help="This machine's address for relay sockets. Twice: one of IPv4 and one of IPv6.",
    required=True,
    multiple=True,
)
@click.option(
    "--external-address",
    help="The address that reaches --relay-address from outside: IP, 'host' for --host-address, or "
    "stun:HOST:PORT to ask a STUN server. Twice with two relay addresses. Default: "
    "--relay-address.",
    multiple=True,
)
@click.option(
    "--public-address-from",
    help="stun:HOST:PORT of a STUN server to ask where clients reach the listeners; "
    "/admin/v1/status tells it. Relayed addresses do not depend on it.",
)
@click.option(
    "--host-address",
    help="IP address of this pod's host, or both with a comma between, as status.hostIPs of the "
    "downward API has them.",
)
@click.option("--relay-ports", help="Range of relay ports.")
@click.option("--realm", help="Realm of the credentials.")
@click.option(
    "--secret-file",
    help="Secrets of the TURN REST credentials, one a line, newest first. Followed as it changes.",
    type=click.Path(path_type=Path),
)
@click.option(
    "--user-file",
    help="Users with long-term credentials: USER:PASSWORD or USER:REALM:KEY a line, KEY in hex. "
    "Followed as it changes. This or --secret-file, or both.",
    type=click.Path(path_type=Path),
)
@click.option(
    "--limits-file",
    help="JSON file with limits that take the place of the flags' ones. Followed as it changes.",
    type=click.Path(path_type=Path),
)
@click.option(
    "--allow-peer",
    help="CIDR that clients may reach, or 'public'. Repeatable. Given: these and nothing else. "
    "Default: public, all but special-purpose addresses.",
    multiple=True,
)
@click.option(
    "--peers-from-admin",
    help="Open nothing but --allow-peer and what the admin interface pushes.",
    is_flag=True,
)
@click.option(
    "--allow-hairpin",
    help="Let clients reach one another's relayed addresses of this relay.",
    is_flag=True,
)
@click.option(
    "--no-tcp-relay",
    help="Relay no TCP: refuse the allocations of RFC 6062 to clients over TCP and TLS.",
    is_flag=True,
)
@click.option(
    "--mobility",
    help="Let clients over UDP take their allocation to another address (RFC 8016).",
    is_flag=True,
)
@click.option("--max-allocations", help="Allocations at a time.", type=int)
@click.option("--max-allocations-per-user", help="Allocations of one user at a time.", type=int)
@click.option(
    "--max-credential-lifetime", help="Longest lifetime of a credential, seconds.", type=int
)
@click.option("--credential-grace", help="Seconds an allocation outlives its credential.", type=int)
@click.option(
    "--max-bits-per-second", help="Of one allocation in each direction; 0: no limit.", type=int
)
@click.option(
    "--max-bits-per-second-per-user",
    help="Of all allocations of one user together, in each direction; 0: no limit.",
    type=int,
)
@click.option(
    "--allocation-rate",
    help="Allocates a second of one client address (IPv6: of its /64); 0: no limit.",
    type=int,
)
@click.option(
    "--reply-rate",
    help="Answers a second to clients of one network (IPv4 /24, IPv6 /56) that have not proved "
    "who they are; 0: no limit.",
    type=int,
)
@click.option(
    "--sustainable-packet-rate",
    help="Packets a second this machine relays well; the stress ratio of packets is 1 there.",
    type=int,
)
@click.option("--termination-grace", help="Seconds sessions may go on after SIGTERM.", type=int)
@click.option("--metrics", help="IP:PORT of metrics and health.")
@click.option("--admin", help="IP:PORT of the admin interface.")
@click.option(
    "--admin-keys-file",
    help="JWK Set with the operator's Ed25519 public keys. Without: loopback only, no token.",
    type=click.Path(path_type=Path),
)
@click.option("--pod-name", help="Name of this pod.")
@click.option("--pod-uid", help="Uid of this pod; audience of admin tokens.")
@click.option("--pod-address", help="IP address of this pod.")
@click.option(
    "--dataplane",
    help="What relays; auto: native where it loads.",
    type=click.Choice(["auto", "python", "native"]),
)
@click.option("--dataplane-threads", help="Threads of the native data plane.", type=int)
@click.option(
    "--log-level",
    help="Least level logged.",
    type=click.Choice(["debug", "info", "warning", "error"]),
)
@click.version_option(package_name="callfleet")
def main(**given: object) -> None:
    """Relay media for WebRTC clients: a TURN and STUN server (RFC 8656, RFC 8489)."""
    flags = {field: value for field, value in given.items() if value is not None}
    try:
        settings = Settings.model_validate(flags)
    except ValidationError as error:
        raise click.UsageError(describe(error)) from error
    try:
        allow_files(settings.files)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    logs.configure(settings.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings))
    except StartError as error:
        raise click.ClickException(str(error)) from error


for parameter in main.params:
    # Every flag has an environment variable, and the default of the setting of its name.
    if isinstance(parameter, click.Option) and parameter.name in Settings.model_fields:
        parameter.show_envvar = True
        field = Settings.model_fields[parameter.name]
        if not field.is_required() and field.default_factory is None:
            parameter.default = field.default


if __name__ == "__main__":
    main()

"""The command `callfleet-relay`."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path

import click
import uvloop
from pydantic import ValidationError

from callfleet_relay import logs
from callfleet_relay.serve import StartError, serve
from callfleet_relay.settings import Settings, describe

SPARE_FILES = 256
"""Descriptors beside the relay sockets: listeners, HTTP connections, files."""

CONTEXT = {
    "help_option_names": ["-h", "--help"],
    "auto_envvar_prefix": "CALLFLEET_RELAY",
    "max_content_width": 100,
    "show_default": True,
}


@click.command(context_settings=CONTEXT)
@click.option(
    "--listen", help="Where clients come: udp://IP:PORT. Repeatable; port 0: any.", multiple=True
)
@click.option("--relay-address", help="This machine's address for relay sockets.", required=True)
@click.option("--external-address", help="The address that reaches --relay-address from outside.")
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
@click.option("--dataplane", help="What relays packets.", type=click.Choice(["auto", "python"]))
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
    _allow_files(settings.max_allocations + SPARE_FILES)
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


def _allow_files(needed: int) -> None:
    """Each allocation takes a file descriptor: raise the soft limit as far as needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise click.UsageError(
            f"--max-allocations: needs {needed} open files and the hard limit is {hard}: lower "
            f"it to {max(1, hard - SPARE_FILES)}, or raise the limit (ulimit -Hn)"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


if __name__ == "__main__":
    main()

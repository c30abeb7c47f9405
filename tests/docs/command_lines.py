"""Writes the reference of the command lines: what `--help` says, word for word.

    python -m tests.docs.command_lines > docs/reference/command-lines.md

It stands here because the parts of the distribution do not import one another.
"""

from __future__ import annotations

import click
from click.testing import CliRunner

from callfleet_engine.__main__ import main as engine
from callfleet_operator.__main__ import main as operator
from callfleet_operator.cli import main as callfleet
from callfleet_relay.__main__ import main as relay

HEAD = """\
# Command lines

<!-- Generated from the programs' own help by `make generate`. -->

`callfleet-engine`, `callfleet-relay` and `callfleet-operator` log JSON lines on standard error. The
first two print one JSON line on standard output once they listen, with the addresses they got. In
pods the operator sets everything by environment variables
([contracts](contracts.md#what-the-operator-gives-a-pod)).

`callfleet-engine` ends at once on SIGINT. On SIGTERM it refuses new calls and waits for those it
has, for `--termination-grace` at most; what is left then goes to other engines that have room.
`callfleet-relay` waits for its sessions on either signal. A second signal ends both at once.
"""
WIDTH = 100
COMMANDS: tuple[tuple[click.Command, str], ...] = (
    (engine, "callfleet-engine"),
    (relay, "callfleet-relay"),
    (operator, "callfleet-operator run"),
    (callfleet, "callfleet"),
    (callfleet, "callfleet status"),
    (callfleet, "callfleet explain"),
    (callfleet, "callfleet plan"),
    (callfleet, "callfleet drain"),
    (callfleet, "callfleet undrain"),
    (callfleet, "callfleet pause"),
    (callfleet, "callfleet resume"),
    (callfleet, "callfleet hold"),
    (callfleet, "callfleet doctor"),
    (callfleet, "callfleet simulate"),
    (callfleet, "callfleet support-bundle"),
    (callfleet, "callfleet token"),
    (callfleet, "callfleet token keys"),
    (callfleet, "callfleet load"),
)


def page() -> str:
    """The whole page, as Markdown."""
    parts = [HEAD]
    for command, name in COMMANDS:
        parts += [f"## {name}\n", "```text", help_of(command, name), "```\n"]
    return "\n".join(parts)


def help_of(command: click.Command, name: str) -> str:
    """What `name --help` prints on a wide terminal."""
    program, *inner = name.split()
    ran = CliRunner().invoke(
        command,
        [*inner, "--help"],
        prog_name=program,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
    )
    if ran.exit_code != 0:
        raise click.ClickException(f"{name} --help failed: {ran.output}")
    return "\n".join(line.rstrip() for line in ran.stdout.rstrip().splitlines())


if __name__ == "__main__":
    click.echo(page(), nl=False)

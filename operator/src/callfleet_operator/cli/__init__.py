"""The command `callfleet`: every part of the distribution may add sub-commands to it."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint, entry_points

import click
from click.shell_completion import ShellComplete

COMMANDS = "callfleet.commands"
PLUGIN = "kubectl callfleet"
_NO_FILES = ":4"
"""ShellCompDirectiveNoFileComp of cobra, which kubectl completes with."""


class InstalledCommands(click.Group):
    """A group whose sub-commands are the entry points `callfleet.commands`, loaded when used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(point.name for point in entry_points(group=COMMANDS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        for point in entry_points(group=COMMANDS, name=cmd_name):
            return _load(point)
        return None


def _load(point: EntryPoint) -> click.Command:
    try:
        command = point.load()
    except ModuleNotFoundError as missing:
        part = point.module.split(".")[0].removeprefix("callfleet_")
        return _explain_missing_extra(point.name, part, missing.name or str(missing))
    if not isinstance(command, click.Command):
        raise TypeError(f"entry point {point.name} of {COMMANDS} is no click command: {command!r}")
    return command


def _explain_missing_extra(name: str, part: str, module: str) -> click.Command:
    remedy = f"Install it with: pip install 'callfleet[{part}]'"

    def refuse() -> None:
        raise click.ClickException(f"callfleet {name} needs the module {module}. {remedy}")

    return click.Command(
        name,
        callback=refuse,
        short_help=f"(not installed: needs callfleet[{part}])",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )


@click.command(
    cls=InstalledCommands,
    context_settings={"help_option_names": ["-h", "--help"], "auto_envvar_prefix": "CALLFLEET"},
)
@click.version_option(package_name="callfleet")
def main() -> None:
    """Work with a fleet of call engines and relays.

    In kubectl the same commands are `kubectl callfleet ...`. Completion: for bash put
    `eval "$(_CALLFLEET_COMPLETE=bash_source callfleet)"` into ~/.bashrc, for zsh the same with
    zsh_source into ~/.zshrc; kubectl's own completion knows the plugin.
    """


def plugin() -> None:
    """The program `kubectl-callfleet`, by which kubectl finds its plugin."""
    main(prog_name=PLUGIN, complete_var="_KUBECTL_CALLFLEET_COMPLETE")


def complete() -> None:
    """The program `kubectl_complete-callfleet`, which kubectl asks for completions of its plugin:
    one a line, with a tab before its help, then a directive of cobra."""
    *before, word = sys.argv[1:] or [""]
    completion = ShellComplete(main, {}, PLUGIN, "_KUBECTL_CALLFLEET_COMPLETE")
    for item in completion.get_completions(before, word):
        help_ = f"\t{item.help}" if item.help else ""
        click.echo(f"{item.value}{help_}")
    click.echo(_NO_FILES)

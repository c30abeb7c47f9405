"""The command `callfleet load`."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import aiohttp
import click
from rich.console import Console
from rich.table import Table

from callfleet_engine.load.events import EventLog
from callfleet_engine.load.media import encode_audio, encode_video
from callfleet_engine.load.participant import Client, TokenSource
from callfleet_engine.load.runner import Commands, Runner, Summary
from callfleet_engine.load.scenario import Phase, Scenario, ScenarioError, read_scenario
from callfleet_engine.load.world import World
from callfleet_engine.token_keys import KeysFileInvalid
from callfleet_engine.tokens import Grant, JoinKeys, Permission

TOKEN_LIFETIME = timedelta(hours=6)

EXAMPLES = """
\b
Examples:
  callfleet load --url http://127.0.0.1:8080 --keys-file keys.json --calls 3 --participants 4
  callfleet load --url http://10.0.0.5:30080 --keys-file keys.json --scenario evening.yaml \\
      --events events.jsonl --report report.json
"""


@click.command(epilog=EXAMPLES)
@click.option("--url", required=True, help="Signalling of the engine, such as http://host:8080.")
@click.option(
    "--keys-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JWK Set that signs join tokens. Without it no token is sent (an engine with --open).",
)
@click.option(
    "--scenario",
    "scenario_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file with phases. Without it: one phase of --calls for --seconds.",
)
@click.option("--calls", type=click.IntRange(1, 1000), default=1, show_default=True)
@click.option("--participants", type=click.IntRange(1, 100), default=2, show_default=True)
@click.option(
    "--seconds",
    type=click.IntRange(1, 86_400),
    default=30,
    show_default=True,
    help="Without --scenario: how long the calls stay once everybody hears everybody.",
)
@click.option(
    "--events",
    "events_file",
    type=click.File("w", lazy=False),
    help="Write every event to this file, one JSON object a line; - for standard output.",
)
@click.option(
    "--report",
    "report_file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write the summary to this file as JSON.",
)
@click.option(
    "--control",
    is_flag=True,
    help="Read commands from standard input, one JSON object a line: "
    '{"command": "next"}, {"command": "end-calls", "pod": NAME}, {"command": "stop"}.',
)
def load(
    *,
    url: str,
    keys_file: Path | None,
    scenario_file: Path | None,
    calls: int,
    participants: int,
    seconds: int,
    events_file: IO[str] | None,
    report_file: Path | None,
    control: bool,
) -> None:
    """Put real participants on a fleet: signalling, TURN, ICE, DTLS, Opus and VP8.

    Ends with 0 if every phase reached what it is for and nobody was disconnected against their
    will, else with 1.
    """
    try:
        scenario = read_scenario(scenario_file) if scenario_file else _steady(calls, participants)
        tokens = _token_source(keys_file)
    except (ScenarioError, KeysFileInvalid) as error:
        raise click.ClickException(str(error)) from error
    linger = 0 if scenario_file else seconds
    summary = asyncio.run(
        _run(
            url=url,
            tokens=tokens,
            scenario=scenario,
            events=EventLog(events_file),
            linger=linger,
            control=control,
        )
    )
    if report_file is not None:
        report_file.write_text(json.dumps(summary.as_json(), indent=2) + "\n")
    _print(summary)
    sys.exit(0 if summary.met else 1)


def _steady(calls: int, participants: int) -> Scenario:
    phase = Phase(name="calls", calls=calls, participants_per_call=participants, limit_seconds=300)
    return Scenario(phases=(phase,))


def _token_source(keys_file: Path | None) -> TokenSource:
    if keys_file is None:
        return lambda _room, _identity: None
    keys = JoinKeys(keys_file)
    everything = frozenset(Permission)

    def mint(room: str, identity: str) -> str:
        expires = datetime.now(UTC) + TOKEN_LIFETIME
        return keys.mint(Grant(identity=identity, room=room, can=everything, expires=expires))

    return mint


async def _run(
    *,
    url: str,
    tokens: TokenSource,
    scenario: Scenario,
    events: EventLog,
    linger: float,
    control: bool,
) -> Summary:
    loops = (encode_audio(), encode_video(scenario.video))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        client = Client(http, url, tokens, events, loops)
        world = World(client, scenario.room_prefix, scenario.joins_per_second, seed=scenario.seed)
        runner = Runner(scenario, world, events, linger_seconds=linger)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, runner.commands.put_nowait, {"command": "stop"})
        reader = asyncio.create_task(_read_commands(runner.commands)) if control else None
        try:
            return await runner.run()
        finally:
            if reader is not None:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)


async def _read_commands(commands: Commands) -> None:
    """Pass on what comes on standard input; with its end, whoever led the run is gone: stop."""
    stream = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(stream)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await stream.readline():
        try:
            command = json.loads(line)
        except ValueError:
            command = {"command": f"not JSON: {line.decode(errors='replace').strip()}"}
        commands.put_nowait(command)
    commands.put_nowait({"command": "stop"})


def _print(summary: Summary) -> None:
    table = Table(title="Load")
    for column in ("phase", "met", "seconds"):
        table.add_column(column)
    for phase in summary.phases:
        table.add_row(phase.name, "yes" if phase.met else "NO", f"{phase.seconds:.1f}")
    console = Console(stderr=True)
    console.print(table)
    counts = ", ".join(f"{name} {count}" for name, count in sorted(summary.events.items()))
    console.print(f"Events: {counts}")
    console.print(
        f"Received {summary.packets} RTP packets, {summary.missing} missing; "
        f"{summary.disconnected} participants disconnected against their will."
    )
    if summary.median_move_gap_seconds is not None:
        console.print(
            f"{summary.moved} times a participant's call changed pods. Without media, at a change "
            f"of pod or relay: {summary.median_move_gap_seconds} s in the median, "
            f"{summary.longest_move_gap_seconds} s at most."
        )

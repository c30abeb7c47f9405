"""The command `callfleet-operator`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import click
import uvloop

from callfleet_operator.gateway.admin_key import AdminKeyError
from callfleet_operator.gateway.errors import KubeError
from callfleet_operator.gateway.kube import ConnectError
from callfleet_operator.gateway.lease import LeaseLostError
from callfleet_operator.gateway.traces import TracesError
from callfleet_operator.leader import WatchesEndedError
from callfleet_operator.process import StartError, run
from callfleet_operator.settings import (
    SERVICE_ACCOUNT_NAMESPACE,
    ListenAddress,
    Settings,
    SettingsError,
)
from callfleet_operator.startup import configure_logging


class _Address(click.ParamType[ListenAddress]):
    name = "HOST:PORT"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> ListenAddress:
        if isinstance(value, ListenAddress):
            return value
        try:
            return ListenAddress.parse(str(value))
        except ValueError as problem:
            self.fail(f"{value!r}: {problem}", param, ctx)


def _own_namespace() -> str:
    try:
        return SERVICE_ACCOUNT_NAMESPACE.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return ""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="callfleet")
def main() -> None:
    """The operator of CallClusters and TurnPools."""


@main.command("run", context_settings={"auto_envvar_prefix": "CALLFLEET_OPERATOR"})
@click.option(
    "--namespace",
    "namespaces",
    multiple=True,
    envvar="CALLFLEET_OPERATOR_NAMESPACE",
    help="Serve this namespace only; may be given several times. Default: all.",
)
@click.option("--prometheus-url", required=True, help="Base address of the Prometheus API.")
@click.option(
    "--prometheus-token-file",
    type=click.Path(path_type=Path),
    help="File with a bearer token for Prometheus; read anew for each query.",
)
@click.option(
    "--prometheus-ca-file",
    type=click.Path(path_type=Path),
    help="PEM file of the authorities that Prometheus' certificate may come from.",
)
@click.option(
    "--prometheus-timeout-seconds",
    type=float,
    default=10.0,
    show_default=True,
    help="For one query.",
)
@click.option("--engine-image", required=True, help="Image of engines whose spec names none.")
@click.option("--relay-image", required=True, help="Image of relays whose spec names none.")
@click.option(
    "--operator-namespace",
    default=_own_namespace,
    help="Namespace of the operator's own Secret and Lease. Default: that of its pod.",
)
@click.option(
    "--leader-election/--no-leader-election",
    default=True,
    show_default=True,
    help="Act only while holding a Lease, so that of several replicas one acts.",
)
@click.option(
    "--lease-name",
    default="callfleet-operator",
    show_default=True,
    help="The Lease; replicas that serve the same objects share one.",
)
@click.option(
    "--pod-monitor-label",
    "pod_monitor_labels",
    multiple=True,
    envvar="CALLFLEET_OPERATOR_POD_MONITOR_LABEL",
    metavar="NAME=VALUE",
    help="A label for PodMonitors that Prometheus chooses them by; may be given several times.",
)
@click.option(
    "--tick-seconds",
    type=float,
    default=15.0,
    show_default=True,
    help="Each object is looked at at least this often.",
)
@click.option(
    "--demand-window-seconds",
    type=float,
    default=300.0,
    show_default=True,
    help="Room is kept for new calls at the rate of so many seconds past.",
)
@click.option(
    "--workers", type=int, default=4, show_default=True, help="Objects looked at simultaneously."
)
@click.option(
    "--api-timeout-seconds",
    type=float,
    default=20.0,
    show_default=True,
    help="For one request to the API server.",
)
@click.option(
    "--admin-timeout-seconds",
    type=float,
    default=2.0,
    show_default=True,
    help="For one call of a pod's admin port.",
)
@click.option(
    "--admin-concurrency",
    type=int,
    default=32,
    show_default=True,
    help="Calls of pods' admin ports at the same time.",
)
@click.option(
    "--metrics",
    type=_Address(),
    default="0.0.0.0:9090",
    show_default=True,
    help="Where /metrics and /healthz are served; port 0 picks a free one.",
)
@click.option(
    "--health-max-age-seconds",
    type=float,
    default=300.0,
    show_default=True,
    help="/healthz fails when an object has waited this long for its turn.",
)
@click.option("--verbose", is_flag=True, help="Log what kopf does as well.")
def run_command(
    *,
    namespaces: tuple[str, ...],
    prometheus_url: str,
    prometheus_token_file: Path | None,
    prometheus_ca_file: Path | None,
    prometheus_timeout_seconds: float,
    engine_image: str,
    relay_image: str,
    operator_namespace: str,
    leader_election: bool,
    lease_name: str,
    pod_monitor_labels: tuple[str, ...],
    tick_seconds: float,
    demand_window_seconds: float,
    workers: int,
    api_timeout_seconds: float,
    admin_timeout_seconds: float,
    admin_concurrency: int,
    metrics: ListenAddress,
    health_max_age_seconds: float,
    verbose: bool,
) -> None:
    """Watch, decide and act until ended by SIGTERM.

    Every option is also an environment variable, CALLFLEET_OPERATOR_ and its name in capitals;
    several namespaces are separated by spaces there.
    """
    try:
        settings = Settings(
            prometheus_url=prometheus_url,
            engine_image=engine_image,
            relay_image=relay_image,
            operator_namespace=operator_namespace,
            leader_election=leader_election,
            lease_name=lease_name,
            pod_monitor_labels=tuple(_name_and_value(label) for label in pod_monitor_labels),
            namespaces=tuple(dict.fromkeys(namespaces)),
            prometheus_token_file=prometheus_token_file,
            prometheus_ca_file=prometheus_ca_file,
            prometheus_timeout=prometheus_timeout_seconds,
            tick=tick_seconds,
            demand_window=demand_window_seconds,
            api_timeout=api_timeout_seconds,
            admin_timeout=admin_timeout_seconds,
            admin_concurrency=admin_concurrency,
            workers=workers,
            metrics=metrics,
            health_max_age=health_max_age_seconds,
        )
    except SettingsError as problem:
        raise click.UsageError(str(problem)) from problem
    configure_logging(verbose=verbose)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings, _announce))
    except (
        StartError,
        TracesError,
        WatchesEndedError,
        LeaseLostError,
        AdminKeyError,
        ConnectError,
    ) as problem:
        raise click.ClickException(str(problem)) from problem
    except KubeError as problem:
        raise click.ClickException(f"The API server cannot be used. {problem}") from problem


def _name_and_value(label: str) -> tuple[str, str]:
    name, _, value = label.partition("=")
    return name, value


def _announce(address: ListenAddress) -> None:
    host = f"[{address.host}]" if ":" in address.host else address.host
    click.echo(json.dumps({"event": "listening", "metrics": f"{host}:{address.port}"}))
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Settings of the operator: what may be set, and what is refused with which remedy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
LABEL_NAME = re.compile(
    r"([a-z0-9][-a-z0-9.]{0,251}[a-z0-9]/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
SERVICE_ACCOUNT_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class SettingsError(Exception):
    """Settings the operator cannot run with; the message names each one and its remedy."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a server listens; port 0 picks a free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> ListenAddress:
        """`HOST:PORT` or `[IPV6]:PORT`; raises ValueError."""
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isascii() or not port.isdecimal():
            raise ValueError("write it as HOST:PORT, such as 0.0.0.0:9090")
        if int(port) > 65535:
            raise ValueError("the port must not be above 65535")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is set for one operator process. Times are in seconds."""

    prometheus_url: str
    engine_image: str
    relay_image: str
    operator_namespace: str
    namespaces: tuple[str, ...] = ()
    """Namespaces whose objects are served; empty: all."""
    prometheus_token_file: Path | None = None
    prometheus_ca_file: Path | None = None
    prometheus_timeout: float = 10.0
    """For one query, body included."""
    tick: float = 15.0
    """Each object is reconciled at least this often."""
    demand_window: float = 300.0
    """Over which the rate of new calls is taken, to keep room for those that will come."""
    api_timeout: float = 20.0
    admin_timeout: float = 2.0
    admin_concurrency: int = 32
    workers: int = 4
    """Objects reconciled at the same time."""
    metrics: ListenAddress = ListenAddress("0.0.0.0", 9090)  # noqa: S104  # scraped and probed
    """Where /metrics and /healthz are served."""
    leader_election: bool = True
    """Whether it acts only while it holds the Lease in its namespace."""
    lease_name: str = "callfleet-operator"
    pod_monitor_labels: tuple[tuple[str, str], ...] = ()
    """Labels that PodMonitors get besides their own, for a Prometheus that chooses by them."""
    health_max_age: float = 300.0
    """/healthz fails when an object waits longer than this for a round to finish."""

    def __post_init__(self) -> None:
        """Raises SettingsError with every problem, not only the first."""
        problems = [problem for problem in self._problems() if problem]
        if problems:
            raise SettingsError("\n".join(problems))

    def _problems(self) -> list[str]:
        return [
            _check_url(self.prometheus_url),
            _check_file("--prometheus-token-file", self.prometheus_token_file),
            _check_file("--prometheus-ca-file", self.prometheus_ca_file),
            _check_image("--engine-image", self.engine_image),
            _check_image("--relay-image", self.relay_image),
            _check_namespace("--operator-namespace", self.operator_namespace),
            _check_lease(self.lease_name),
            *(_check_label("--pod-monitor-label", *label) for label in self.pod_monitor_labels),
            *(_check_namespace("--namespace", name) for name in self.namespaces),
            _check_range("--tick-seconds", self.tick, 1, 300),
            _check_range("--demand-window-seconds", self.demand_window, 60, 3600),
            _check_range("--prometheus-timeout-seconds", self.prometheus_timeout, 0.1, 60),
            _check_range("--api-timeout-seconds", self.api_timeout, 0.1, 120),
            _check_range("--admin-timeout-seconds", self.admin_timeout, 0.1, 30),
            _check_range("--admin-concurrency", self.admin_concurrency, 1, 1000),
            _check_range("--workers", self.workers, 1, 64),
            self._check_health_age(),
        ]

    def _check_health_age(self) -> str:
        if self.health_max_age < 2 * self.tick:
            return (
                f"--health-max-age-seconds is {self.health_max_age:g}: make it at least twice "
                f"--tick-seconds ({self.tick:g}), or a healthy operator would be restarted."
            )
        return ""


def _check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return (
            f"--prometheus-url is {url!r}: give the base address of the Prometheus API, such as "
            "http://prometheus.monitoring:9090."
        )
    if parts.username or parts.password:
        return (
            "--prometheus-url holds credentials, which would show in the process list: remove "
            "them and name a file with --prometheus-token-file."
        )
    if parts.query or parts.fragment:
        return f"--prometheus-url is {url!r}: give the base address only, without ? and #."
    return ""


def _check_file(flag: str, path: Path | None) -> str:
    if path is None or path.is_file():
        return ""
    return f"{flag} names {path}, which is no readable file: mount the Secret or remove the flag."


def _check_image(flag: str, image: str) -> str:
    if image and not re.search(r"\s", image):
        return ""
    return f"{flag} is {image!r}: name the default image, such as ghcr.io/callfleet/engine:0.1.0."


def _check_namespace(flag: str, name: str) -> str:
    if NAMESPACE.fullmatch(name):
        return ""
    if not name:
        return (
            f"{flag} is not set and this is no pod: name the namespace that holds the operator's "
            "own Secret."
        )
    return (
        f"{flag} is {name!r}: a namespace has lower-case letters, digits and hyphens, at most 63; "
        "patterns are not supported."
    )


def _check_lease(name: str) -> str:
    if len(name) <= 253 and OBJECT_NAME.fullmatch(name):
        return ""
    return (
        f"--lease-name is {name!r}: a Lease's name has lower-case letters, digits, hyphens and "
        "dots, at most 253."
    )


def _check_label(flag: str, name: str, value: str) -> str:
    if LABEL_NAME.fullmatch(name) and LABEL_VALUE.fullmatch(value):
        return ""
    return f"{flag} is '{name}={value}': write a label as NAME=VALUE, such as release=prometheus."


def _check_range(flag: str, value: float, low: float, high: float) -> str:
    if low <= value <= high:
        return ""
    return f"{flag} is {value:g}: it must be between {low:g} and {high:g}."

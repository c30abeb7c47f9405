"""The rights that the operator needs, as the chart gives them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from callfleet_operator.gateway.user import Access

_FLEET: Final = (
    ("callfleet.dev", "callclusters turnpools", "get list watch"),
    ("callfleet.dev", "callclusters/status turnpools/status", "patch"),
    ("", "pods", "get list watch create patch delete"),
    ("apps", "controllerrevisions", "get list create patch delete"),
    ("", "configmaps serviceaccounts services secrets", "get create patch"),
    ("networking.k8s.io", "networkpolicies", "get create patch"),
    ("policy", "poddisruptionbudgets", "get create patch"),
    ("events.k8s.io", "events", "create"),
    ("monitoring.coreos.com", "podmonitors", "get create patch"),
)
_CLUSTER: Final = (("", "nodes", "get list watch"), ("", "namespaces", "get"))

_COMMANDS: Final = {
    "status": ("get,list", "callclusters turnpools pods configmaps"),
    "status with figures of single pods": ("get", "pods/proxy"),
    "pause, resume, hold": ("patch", "callclusters turnpools"),
    "drain, undrain": ("patch", "pods"),
    "support-bundle": ("get", "pods/log"),
}
"""What commands need, for one line about oneself."""


def operator_rights(namespace: str) -> Iterator[Access]:
    """What the operator does in a namespace that it serves."""
    for group, resources, verbs in _FLEET:
        yield from _each(group, resources, verbs, namespace)
    for group, resources, verbs in _CLUSTER:
        yield from _each(group, resources, verbs, "")


def command_rights(namespace: str) -> dict[str, tuple[Access, ...]]:
    """What each group of commands does in a namespace."""
    return {
        command: tuple(
            one
            for resource in resources.split()
            for verb in verbs.split(",")
            for one in _each(_group_of(resource), resource, verb, namespace)
        )
        for command, (verbs, resources) in _COMMANDS.items()
    }


def _group_of(resource: str) -> str:
    return "callfleet.dev" if resource in ("callclusters", "turnpools") else ""


def _each(group: str, resources: str, verbs: str, namespace: str) -> Iterator[Access]:
    for resource in resources.split():
        name, _, subresource = resource.partition("/")
        for verb in verbs.split():
            yield Access(verb, name, group, subresource, namespace)

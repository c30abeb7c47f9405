"""Writes crds/ from the models.

    python -m callfleet_operator.api.v1alpha1.crd [--check] [DIRECTORY]

With --check nothing is written; the exit code is 1 when a file is not what the models say.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import yaml
from pydantic import BaseModel

from callfleet_operator.api.v1alpha1.callcluster import (
    CallCluster,
    CallClusterSpec,
    CallClusterStatus,
)
from callfleet_operator.api.v1alpha1.common import GROUP, VERSION
from callfleet_operator.api.v1alpha1.model import VALIDATIONS, rule
from callfleet_operator.api.v1alpha1.structural import hoisted_rules, structural_schema
from callfleet_operator.api.v1alpha1.turnpool import TurnPool, TurnPoolSpec, TurnPoolStatus

_HEADER: Final = (
    "# Generated from operator/src/callfleet_operator/api/v1alpha1 by `make generate`.\n"
)

_NAME_RULES: Final = [
    rule(
        "self.metadata.name.size() <= 40",
        "metadata.name must have at most 40 characters: pods and Services are named after it",
    ),
    rule(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name must begin with a letter and hold only lower-case letters, digits and "
        "hyphens: Services are named after it",
    ),
]


def _column(
    name: str, path: str, kind: str = "integer", *, wide: bool = False, says: str = ""
) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path}
    if says:
        made["description"] = says
    return made | ({"priority": 1} if wide else {})


def _condition(name: str, condition: str, says: str = "") -> dict[str, Any]:
    path = f'.status.conditions[?(@.type=="{condition}")].status'
    return _column(name, path, "string", says=says)


_WIDE: Final = [
    _column("Min", ".spec.scaling.minReplicas", wide=True, says="Open pods at least."),
    _column("Max", ".spec.scaling.maxReplicas", wide=True, says="Open pods at most."),
    _column("Starting", ".status.replicas.starting", wide=True, says="Open pods not ready yet."),
    _column("Reason", ".status.lastDecision.reason", "string", wide=True, says="Why Desired."),
    _column(
        "Last-Scale", ".status.lastScaleTime", "date", wide=True, says="Time since pods changed."
    ),
]
_FIRST: Final = [
    _condition("Ready", "Ready"),
    _column("Desired", ".status.replicas.desired", says="Open pods that are wanted."),
    _column("Open", ".status.replicas.open", says="Ready pods that take new work."),
    _column("Draining", ".status.replicas.draining", says="Pods waiting to become empty."),
]
_LAST: Final = [
    _condition("Limited", "ScalingLimited", "Whether a bound keeps the number from the load's."),
    _column("Mode", ".spec.mode", "string"),
    _column("Age", ".metadata.creationTimestamp", "date"),
]


@dataclass(frozen=True)
class Kind:
    """One custom resource."""

    model: type[BaseModel]
    spec: type[BaseModel]
    status: type[BaseModel]
    short_name: str
    columns: list[dict[str, Any]]

    @property
    def name(self) -> str:
        """CamelCase name of the kind."""
        return self.model.__name__

    @property
    def plural(self) -> str:
        """Name in URLs."""
        return f"{self.name.lower()}s"


KINDS: Final = (
    Kind(
        model=CallCluster,
        spec=CallClusterSpec,
        status=CallClusterStatus,
        short_name="cc",
        columns=[
            *_FIRST,
            _column("Util", ".status.utilizationPercent", says="Utilisation in percent."),
            *_LAST,
            *_WIDE,
        ],
    ),
    Kind(
        model=TurnPool,
        spec=TurnPoolSpec,
        status=TurnPoolStatus,
        short_name="tp",
        columns=[
            *_FIRST,
            _condition("Failing", "ConnectionsFailing", "Whether users fail to get a relay."),
            _column("Sat", ".status.saturationPercent", says="Saturation in percent."),
            *_LAST,
            *_WIDE,
        ],
    ),
)


def custom_resource_definition(kind: Kind) -> dict[str, Any]:
    """The CRD of CallCluster or TurnPool. There is no scale subresource: an autoscaler that
    deletes pods must not attach."""
    spec = structural_schema(kind.spec, defaults=True) | {"default": {}}
    validations = _NAME_RULES + hoisted_rules(spec, ".spec")
    schema = {
        "description": " ".join((kind.model.__doc__ or "").split()),
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": structural_schema(kind.status, defaults=False),
        },
        VALIDATIONS: validations,
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short_name],
                "categories": ["callfleet"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": kind.columns,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # the signature is yaml's
        return True


def manifests() -> dict[str, str]:
    """The files of crds/ by name."""
    return {
        f"{GROUP}_{kind.plural}.yaml": _HEADER
        + yaml.dump(
            custom_resource_definition(kind),
            Dumper=_Plain,
            sort_keys=False,
            width=100,
            allow_unicode=True,
        )
        for kind in KINDS
    }


def stale(directory: Path) -> list[str]:
    """Names of the files in `directory` that are not what the models say."""
    return [
        name
        for name, text in manifests().items()
        if not (directory / name).is_file() or (directory / name).read_text("utf-8") != text
    ]


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when a file is out of date.")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default="crds")
def main(*, check: bool, directory: Path) -> None:
    """Write the CRDs into DIRECTORY (crds)."""
    if not check:
        directory.mkdir(exist_ok=True)
        for name, text in manifests().items():
            (directory / name).write_text(text, encoding="utf-8")
    elif names := stale(directory):
        click.echo(f"out of date in {directory}: {', '.join(names)}; run: make generate", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

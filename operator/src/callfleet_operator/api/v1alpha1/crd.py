"""Writes crds/, and their copies in the chart, from the models.

    python -m callfleet_operator.api.v1alpha1.crd [--check] [CHECKOUT]

With --check nothing is written; the exit code is 1 when a file is not what the models say.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import yaml

from callfleet_operator.api.v1alpha1.callcluster import (
    CallCluster,
    CallClusterSpec,
    CallClusterStatus,
)
from callfleet_operator.api.v1alpha1.common import GROUP, VERSION
from callfleet_operator.api.v1alpha1.model import VALIDATIONS, Model, rule
from callfleet_operator.api.v1alpha1.structural import hoisted_rules, structural_schema
from callfleet_operator.api.v1alpha1.turnpool import TurnPool, TurnPoolSpec, TurnPoolStatus

_HEADER: Final = (
    "# Generated from operator/src/callfleet_operator/api/v1alpha1 by `make generate`.\n"
)

_CHART_METADATA: Final = """\
  labels:
    {{- include "callfleet.labels" . | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""

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

    model: type[Model]
    spec: type[Model]
    status: type[Model]
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


def _manifest(kind: Kind) -> str:
    return yaml.dump(
        custom_resource_definition(kind),
        Dumper=_Plain,
        sort_keys=False,
        width=100,
        allow_unicode=True,
    )


def _chart_template(kind: Kind) -> str:
    """The manifest as the chart installs it: on demand, and kept when the release goes."""
    name = f"  name: {kind.plural}.{GROUP}\n"
    head, _, rest = _manifest(kind).partition(name)
    return (
        f"{{{{- if .Values.crds.enabled }}}}\n{head}{name}{_CHART_METADATA}{rest}{{{{- end }}}}\n"
    )


def files() -> dict[str, str]:
    """Everything that is generated, by path in the checkout."""
    return {
        path: _HEADER + text
        for kind in KINDS
        for path, text in (
            (f"crds/{GROUP}_{kind.plural}.yaml", _manifest(kind)),
            (f"charts/callfleet/templates/crds/{kind.plural}.yaml", _chart_template(kind)),
        )
    }


def stale(checkout: Path) -> list[str]:
    """Paths of the files in a checkout that are not what the models say."""
    return [
        path
        for path, text in files().items()
        if not (checkout / path).is_file() or (checkout / path).read_text("utf-8") != text
    ]


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when a file is out of date.")
@click.argument("checkout", type=click.Path(path_type=Path, file_okay=False), default=".")
def main(*, check: bool, checkout: Path) -> None:
    """Write crds/ of a CHECKOUT (the present directory) and their copies in the chart."""
    if not check:
        for path, text in files().items():
            (checkout / path).parent.mkdir(parents=True, exist_ok=True)
            (checkout / path).write_text(text, encoding="utf-8")
    elif paths := stale(checkout):
        click.echo(f"out of date: {', '.join(paths)}; run: make generate", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()

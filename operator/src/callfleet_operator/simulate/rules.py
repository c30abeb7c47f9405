"""The CRDs' rules between fields, held for an object that no API server has seen.

The rules are those of the schema itself (`x-kubernetes-validations`), in CEL. Sources:
kubernetes.io, "Common Expression Language in Kubernetes" (its functions isIP and isCIDR), and
"CustomResourceDefinitions", validation rules.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import cel

from callfleet_operator.api.v1alpha1 import CallCluster, TurnPool
from callfleet_operator.api.v1alpha1.crd import KINDS, custom_resource_definition
from callfleet_operator.api.v1alpha1.model import VALIDATIONS


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """One rule that an object breaks."""

    field: str
    """Its path, such as spec.scaling.minReplicas; empty for the whole object."""
    message: str
    """What to write instead."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def broken_rules(resource: CallCluster | TurnPool) -> Iterator[BrokenRule]:
    """Every rule that the API server would refuse the object for as a new one."""
    (kind,) = (one for one in KINDS if one.name == resource.kind)
    (version,) = custom_resource_definition(kind)["spec"]["versions"]
    for rule, value, path in _rules(version["schema"]["openAPIV3Schema"], resource.to_api()):
        if "oldSelf" in rule["rule"]:
            continue  # speaks of a change only
        context = cel.Context(variables={"self": value}, functions=_FUNCTIONS)
        if not cel.evaluate(rule["rule"], context):
            field = f"{path}{rule.get('fieldPath', '')}".removeprefix(".")
            told = rule.get("messageExpression")
            yield BrokenRule(field, cel.evaluate(told, context) if told else rule["message"])


def _rules(
    schema: Mapping[str, Any], value: object, path: str = ""
) -> Iterator[tuple[Mapping[str, str], object, str]]:
    """Each rule of a schema with the value that is its `self`, and where that stands."""
    for rule in schema.get(VALIDATIONS, ()):
        yield rule, value, path
    if isinstance(value, dict):
        named = schema.get("properties", {})
        others = schema.get("additionalProperties")
        for name, inner in value.items():
            below = named.get(name, others)
            if isinstance(below, dict):
                yield from _rules(below, inner, f"{path}.{name}")
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for position, inner in enumerate(value):
            yield from _rules(schema["items"], inner, f"{path}[{position}]")


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


_FUNCTIONS: Final = {"isIP": _is_ip, "isCIDR": _is_cidr}

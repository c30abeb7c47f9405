"""How every model of the API behaves, and the annotations the CRD generator understands."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

VALIDATIONS: Final = "x-kubernetes-validations"
LIST_KEYS: Final = "x-kubernetes-list-map-keys"
KUBERNETES_SCHEMA: Final = "x-callfleet-kubernetes-schema"
"""Names the definition in kubernetes-schemas.json that the generator puts in this place."""


class Model(BaseModel):
    """A part of the API: immutable, camelCase outside, snake_case inside.

    Unknown fields are ignored: an object may have been written by a newer release. The API
    server refuses misspelt ones long before (strict field validation).
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,
        validate_default=True,
    )

    def to_api(self) -> dict[str, Any]:
        """The JSON form for the API server: camelCase, and what is None left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rule(
    expression: str, message: str, *, message_expression: str = "", field_path: str = ""
) -> JsonDict:
    """One CEL rule; the message says what to write instead.

    `message_expression` may name the values at hand; `message` stands in where it fails.
    """
    made: JsonDict = {"rule": expression, "message": message}
    if message_expression:
        made["messageExpression"] = message_expression
    if field_path:
        made["fieldPath"] = field_path
    return made


def rules(*made: JsonDict) -> JsonDict:
    """Extra JSON schema that puts CEL rules on a field."""
    return {VALIDATIONS: list(made)}


def validated(*made: JsonDict) -> ConfigDict:
    """Model configuration that puts CEL rules on the object."""
    return ConfigDict(json_schema_extra=rules(*made))


def _as_utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("a time needs a zone, such as 2026-01-01T00:00:00Z")
    return value.astimezone(UTC).replace(microsecond=0)


def _as_rfc3339(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


Timestamp = Annotated[
    datetime,
    AfterValidator(_as_utc),
    PlainSerializer(_as_rfc3339, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time in UTC with whole seconds, as Kubernetes writes it."""


def _kubernetes(name: str) -> WithJsonSchema:
    return WithJsonSchema({KUBERNETES_SCHEMA: name})


# Kubernetes' own types. The API server has validated them against Kubernetes' schema before the
# operator sees them, so they are passed on as they stand.
Affinity = Annotated[Mapping[str, Any], _kubernetes("Affinity")]
EnvVar = Annotated[Mapping[str, Any], _kubernetes("EnvVar")]
LabelSelector = Annotated[Mapping[str, Any], _kubernetes("LabelSelector")]
LocalObjectReference = Annotated[Mapping[str, Any], _kubernetes("LocalObjectReference")]
ResourceRequirements = Annotated[Mapping[str, Any], _kubernetes("ResourceRequirements")]
Toleration = Annotated[Mapping[str, Any], _kubernetes("Toleration")]
TopologySpreadConstraint = Annotated[Mapping[str, Any], _kubernetes("TopologySpreadConstraint")]

Image = Annotated[str, Field(max_length=512)]
ObjectName = Annotated[str, Field(max_length=253, pattern=r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$")]
"""Name of another object, or empty for none."""
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
LabelValue = Annotated[
    str, Field(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")
]
AnnotationValue = Annotated[str, Field(max_length=4096)]

QUALIFIED_KEYS: Final = rule(
    "self.all(key, key.size() <= 316 && key.matches("
    "'^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
    "each key is a name of at most 63 letters, digits, '-', '_' and '.', with an optional prefix "
    "such as example.org/",
)
NOT_OURS: Final = rule(
    "self.all(key, !key.startsWith('callfleet.dev/') && !key.startsWith('app.kubernetes.io/'))",
    "keys under callfleet.dev/ and app.kubernetes.io/ are the operator's: use a prefix of your own",
)

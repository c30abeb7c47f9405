"""Variables that the operator gives pods, which `env` therefore must not name."""

from __future__ import annotations

from typing import Final

from pydantic.config import JsonDict

from callfleet_operator.api.v1alpha1.model import rule

ENGINE_VARIABLES: Final = (
    "ADMIN",
    "ADMIN_KEYS_FILE",
    "ADVERTISE",
    "ALLOWED_ORIGINS",
    "CONSUMER",
    "DATABASE",
    "DATABASE_CONNECTIONS",
    "EXTERNAL_ADDRESS",
    "EXTERNAL_ADDRESS_FILE",
    "EXTERNAL_ADDRESS_FROM",
    "KEYS_FILE",
    "LIMITS_FILE",
    "LISTEN",
    "LISTEN_TLS",
    "MEDIA_ADDRESS",
    "MEDIA_PORT",
    "METRICS",
    "OPEN",
    "POD_ADDRESS",
    "POD_NAME",
    "POD_UID",
    "QUALITY_PRESETS",
    "REQUIRE_RELAY",
    "RETENTION_DAYS",
    "TERMINATION_GRACE",
    "TLS_CERT",
    "TLS_KEY",
    "TURN_CREDENTIAL_LIFETIME",
    "TURN_KEYS_DIRECTORY",
)
RELAY_VARIABLES: Final = (
    "ADMIN",
    "ADMIN_KEYS_FILE",
    "ALLOW_PEER",
    "CERT",
    "KEY",
    "LISTEN",
    "MAX_ALLOCATIONS",
    "MAX_ALLOCATIONS_PER_USER",
    "MAX_BITS_PER_SECOND",
    "MAX_CREDENTIAL_LIFETIME",
    "METRICS",
    "NO_TCP_RELAY",
    "PEERS_FROM_ADMIN",
    "POD_ADDRESS",
    "POD_NAME",
    "POD_UID",
    "PUBLIC_ADDRESS_FROM",
    "REALM",
    "RELAY_ADDRESS",
    "SECRET_FILE",
    "TERMINATION_GRACE",
)


def not_set_by_operator(prefix: str, variables: tuple[str, ...]) -> JsonDict:
    """The rule that `env` names no variable that the operator sets from other fields."""
    names = ", ".join(f"'{prefix}_{name}'" for name in variables)
    return rule(
        f"!has(self.env) || self.env.all(variable, !(variable.name in [{names}]))",
        f"env must not name a variable that the operator sets from other fields "
        f"({prefix}_LISTEN and others, see docs/reference/contracts.md): set the field instead",
        field_path=".env",
    )

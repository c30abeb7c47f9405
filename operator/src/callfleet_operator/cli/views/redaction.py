"""What leaves the cluster in a support bundle: nothing that opens a door. Pure.

Secrets are never read for it. What may have ended up elsewhere (values of environment variables,
tokens in logs, passwords in URLs) is taken out here, rather too much than too little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

REMOVED: Final = "REDACTED"
_DROPPED_ANNOTATIONS: Final = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})
"""The whole object over again, as somebody wrote it."""
_SAFE_VARIABLES: Final = re.compile(r"CALLFLEET_(OPERATOR|ENGINE|RELAY)_[A-Z_]+")
"""The operator's own, which carry names and numbers; secrets come from files and Secrets."""
_TELLING_KEY: Final = re.compile(
    r"(?i)(passw(or)?d|passphrase|token|secret|credential|authorization|cookie|(api|private)[-_.]?key)$"
)
_TEXTS: Final = (
    # PEM blocks, also with their line ends escaped, as JSON has them.
    re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(-----END [A-Z0-9 ]+-----|$)", re.DOTALL),
    # JSON Web Tokens.
    re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"),
    # `Authorization: Bearer ...`, `Basic ...`.
    re.compile(r"(?i)\b(?<=bearer )[^\s\"',}]+|\b(?<=basic )[A-Za-z0-9+/=]{8,}"),
    # The user's part of a URL.
    re.compile(r"(?<=://)[^\s/@\"']+(?=@)"),
    # `password=...`, `"token": "..."`, `--secret ...`.
    re.compile(
        r"(?i)(?<=password=)[^\s&\"',}]+|(?<=passwd=)[^\s&\"',}]+|(?<=token=)[^\s&\"',}]+"
        r"|(?<=secret=)[^\s&\"',}]+|(?<=\"password\": \")[^\"]+|(?<=\"token\": \")[^\"]+"
        r"|(?<=\"secret\": \")[^\"]+|(?<=\"k\": \")[^\"]+|(?<=\"d\": \")[^\"]+"
        r"|(?<=\"k\":\")[^\"]+|(?<=\"d\":\")[^\"]+|(?<=\"password\":\")[^\"]+"
        r"|(?<=\"token\":\")[^\"]+|(?<=\"secret\":\")[^\"]+"
    ),
)


def redacted(value: Any) -> Any:  # noqa: ANN401  # any JSON value
    """A JSON value without what must not leave the cluster."""
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, list):
        return [redacted(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    if "name" in value and "value" in value and isinstance(value["value"], str):
        return _variable(value)
    return {
        key: _entry(key, one)
        for key, one in value.items()
        if key != "managedFields" and key not in _DROPPED_ANNOTATIONS
    }


def redacted_text(text: str) -> str:
    """A text, such as a log, without tokens, keys and passwords of a known form."""
    for pattern in _TEXTS:
        text = pattern.sub(REMOVED, text)
    return text


def _entry(key: str, value: Any) -> Any:  # noqa: ANN401  # any JSON value
    if isinstance(value, str) and value and _TELLING_KEY.search(key):
        return REMOVED
    return redacted(value)


def _variable(value: Mapping[str, Any]) -> dict[str, Any]:
    """An environment variable: what a person has set may be anything."""
    name = str(value["name"])
    kept = _SAFE_VARIABLES.fullmatch(name) and not _TELLING_KEY.search(name)
    text = redacted_text(value["value"]) if kept else REMOVED
    return {**{key: redacted(one) for key, one in value.items() if key != "value"}, "value": text}

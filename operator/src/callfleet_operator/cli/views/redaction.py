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
_NAMED: Final = r"password|passwd|passphrase|token|secret|credential|api[-_]?key"
_TEXTS: Final = tuple(
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        # PEM blocks, also with their line ends escaped, as JSON has them.
        r"()-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|$)",
        # JSON Web Tokens (RFC 7519): `{"` in base64url comes first.
        r"()\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*",
        # The header Authorization (RFC 9110, section 11.6.2).
        r"(\b(?:bearer|basic)\s+)[^\s\"',}]{6,}",
        # The user's part of a URL (RFC 3986, section 3.2.1).
        r"(://)[^\s/@\"']+(?=@)",
        # `password=...`, `--token ...`, `"secret": "..."`, and the private members of a JWK
        # (RFC 7518, section 6; RFC 8037).
        rf"((?:{_NAMED})=)[^\s&\"',}}]+",
        rf"(--(?:{_NAMED})\s+)[^\s\"',}}]+",
        rf"(\"(?:{_NAMED}|k|d)\\?\"\s*:\s*\\?\")[^\"\\]+",
    )
)
"""Each leaves its first group and takes out the rest."""


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
        text = pattern.sub(rf"\g<1>{REMOVED}", text)
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

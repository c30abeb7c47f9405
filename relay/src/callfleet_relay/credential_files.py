"""The files of credentials, followed as they change."""

from __future__ import annotations

from callfleet_relay.auth import Authenticator
from callfleet_relay.credentials import read_secrets, read_users
from callfleet_relay.settings import Settings
from callfleet_relay.watched import Followed, TextSource


def follow_credentials(
    followed: Followed, settings: Settings, *, nonce_secret: bytes
) -> Authenticator:
    """The authenticator of the users that the files name. Raises `UnusableFileError`."""
    authenticator = Authenticator(
        realm=settings.realm,
        secrets=(),
        anonymity=settings.secret_file is None,
        nonce_secret=nonce_secret,
        max_lifetime=settings.max_credential_lifetime,
    )

    def take_secrets(text: str) -> dict[str, object]:
        found = read_secrets(text)
        authenticator.replace_secrets(found)
        return {"count": len(found)}

    def take_users(text: str) -> dict[str, object]:
        found = read_users(text, settings.realm)
        authenticator.replace_users(found)
        return {"count": len(found)}

    if settings.secret_file is not None:
        source = TextSource("secrets", settings.secret_file, take_secrets)
        followed.follow("--secret-file", source)
    if settings.user_file is not None:
        followed.follow("--user-file", TextSource("users", settings.user_file, take_users))
    return authenticator

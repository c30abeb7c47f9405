"""The files of credentials, read at the start and again whenever they change."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from callfleet_relay.auth import Authenticator
from callfleet_relay.credentials import LongTermUsers, read_secrets, read_users
from callfleet_relay.settings import Settings
from callfleet_relay.watched import WatchedFile

logger = logging.getLogger(__name__)

T = TypeVar("T")


class CredentialFileError(Exception):
    """A file cannot be used at the start; the message names the flag and the remedy."""


class CredentialFiles:
    """The authenticator, and the files it knows its users from."""

    def __init__(self, settings: Settings, *, nonce_secret: bytes) -> None:
        """Raises `CredentialFileError`."""
        realm = settings.realm
        secrets = _File("--secret-file", settings.secret_file, read_secrets)
        users = _File("--user-file", settings.user_file, lambda text: read_users(text, realm))
        self.authenticator = Authenticator(
            realm=realm,
            secrets=secrets.read() or (),
            users=users.read(),
            anonymity=settings.secret_file is None,
            nonce_secret=nonce_secret,
            max_lifetime=settings.max_credential_lifetime,
        )
        self._secrets: _File[tuple[bytes, ...]] = secrets
        self._users: _File[LongTermUsers] = users

    def reload_changed(self) -> None:
        """Read again what has changed; what cannot be used changes nothing and is logged."""
        self._take(secrets=self._secrets.has_changed(), users=self._users.has_changed())

    def reload(self) -> None:
        """Read both again."""
        self._take(secrets=True, users=True)

    def _take(self, *, secrets: bool, users: bool) -> None:
        found = self._secrets.try_read() if secrets else None
        if found is not None:
            self.authenticator.replace_secrets(found)
            logger.info("secrets read", extra={"count": len(found)})
        known = self._users.try_read() if users else None
        if known is not None:
            self.authenticator.replace_users(known)
            logger.info("users read", extra={"count": len(known)})


class _File(Generic[T]):
    """One file, which may not have been given."""

    def __init__(self, flag: str, path: Path | None, parse: Callable[[str], T]) -> None:
        self._flag = flag
        self._path = path
        self._parse = parse
        self._watched = None if path is None else WatchedFile(path)

    def read(self) -> T | None:
        """Its content; None where no file was given. Raises `CredentialFileError`."""
        if self._watched is None:
            return None
        try:
            return self._parse(self._watched.read())
        except OSError as error:
            raise CredentialFileError(f"{self._flag} {self._path}: {error.strerror}") from error
        except ValueError as error:
            raise CredentialFileError(f"{self._flag} {self._path}: {error}") from error

    def try_read(self) -> T | None:
        """As `read`; None also, and a line in the log, where the file cannot be used."""
        try:
            return self.read()
        except CredentialFileError as error:
            logger.error(  # noqa: TRY400 - a mistake in a file, not a bug: no trace
                "file not usable, what was read before stays: %s",
                error,
                extra={"file": str(self._path)},
            )
            return None

    def has_changed(self) -> bool:
        """Whether it is another than when it was last read."""
        return self._watched is not None and self._watched.has_changed()

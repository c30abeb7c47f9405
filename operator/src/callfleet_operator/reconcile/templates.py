"""The pod templates of a fleet, as a round has found them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from callfleet_operator.gateway.kube import Body
from callfleet_operator.render.revision import template_of


@dataclass(frozen=True, slots=True)
class Revision:
    """A template that pods are made from."""

    hash: str
    template: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Revisions:
    """The templates of a fleet."""

    update: Revision
    """What every pod shall have."""
    stored: tuple[Body, ...] = ()
    """Oldest first, as they were found; the update revision may be among them."""
    stands: bool = True
    """The update revision is stored as it should be; False if it has just been written."""

    @property
    def order(self) -> tuple[str, ...]:
        """Hashes, oldest first; the last one is the update revision."""
        older = (hash_of(body) for body in self.stored)
        return (*(one for one in older if one != self.update.hash), self.update.hash)

    def named(self, revision: str) -> Revision:
        """The template of a hash; the update revision if there is no such template any more."""
        for body in self.stored:
            if hash_of(body) == revision:
                try:
                    return Revision(revision, template_of(body))
                except ValueError:
                    break
        return self.update


def hash_of(body: Body) -> str:
    """By the name, which cannot be edited."""
    return str(body["metadata"]["name"]).rpartition("-")[2]

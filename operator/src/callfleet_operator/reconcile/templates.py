"""The pod templates of a fleet, as a round has found them: kept small, as there may be many."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from callfleet_operator.gateway.kube import Body
from callfleet_operator.render.revision import template_of


@dataclass(frozen=True, slots=True)
class Revision:
    """A template that pods are made from."""

    hash: str
    packed: bytes

    @classmethod
    def of(cls, revision: str, template: Mapping[str, Any]) -> Revision:
        """A template by the hash of its name."""
        return cls(revision, zlib.compress(json.dumps(template).encode()))

    @property
    def template(self) -> dict[str, Any]:
        """The template, unpacked each time: it takes some 30 kB and is needed to make a pod."""
        template: dict[str, Any] = json.loads(zlib.decompress(self.packed))
        return template


@dataclass(frozen=True, slots=True)
class Stored:
    """A ControllerRevision."""

    name: str
    uid: str
    resource_version: str
    number: int
    """Grows with each new template of the fleet."""
    marks: Mapping[str, str]
    """Its annotations."""
    revision: Revision | None
    """None: somebody else has made it, and it holds no template."""

    @classmethod
    def of(cls, body: Body) -> Stored:
        """As the API server shows it."""
        metadata = body["metadata"]
        name: str = metadata["name"]
        template = template_of(body)
        return cls(
            name=name,
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            number=body.get("revision", 0),
            marks=metadata.get("annotations") or {},
            revision=None if template is None else Revision.of(_hash(name), template),
        )

    @property
    def hash(self) -> str:
        """By the name, which cannot be edited."""
        return _hash(self.name)


@dataclass(frozen=True, slots=True)
class Revisions:
    """The templates of a fleet."""

    update: Revision
    """What every pod shall have."""
    stored: tuple[Stored, ...] = ()
    """Oldest first, as they were found; the update revision may be among them."""
    stands: bool = True
    """The update revision is stored as it should be; False if it has just been written."""

    @property
    def order(self) -> tuple[str, ...]:
        """Hashes, oldest first; the last one is the update revision."""
        older = (one.hash for one in self.stored)
        return (*(one for one in older if one != self.update.hash), self.update.hash)

    def named(self, revision: str) -> Revision:
        """The template of a hash; the update revision if there is no such template any more."""
        for one in self.stored:
            if one.hash == revision and one.revision is not None:
                return one.revision
        return self.update


def _hash(name: str) -> str:
    return name.rpartition("-")[2]

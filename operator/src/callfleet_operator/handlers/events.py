"""kopf's handlers: each passes its event on, and nothing else.

Only `on.event`: the other handlers put finalizers and annotations on objects, and kopf logs and
forgets what fails in them, where the queue tries again.
"""

from __future__ import annotations

from typing import Any

import kopf

from callfleet_operator.api.v1alpha1 import GROUP, VERSION
from callfleet_operator.handlers.wakes import Wakes
from callfleet_operator.reconcile.keys import Kind


def register(registry: kopf.OperatorRegistry, wakes: Wakes) -> None:
    """Watch the two kinds, and nodes. Pods, which are many, are followed by `gateway.watch`."""

    @kopf.on.event(GROUP, VERSION, "callclusters", registry=registry)
    async def on_call_cluster(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401  # kopf's
        wakes.resource(Kind.CALL_CLUSTER, event["object"], deleted=event["type"] == "DELETED")

    @kopf.on.event(GROUP, VERSION, "turnpools", registry=registry)
    async def on_turn_pool(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401  # kopf's
        wakes.resource(Kind.TURN_POOL, event["object"], deleted=event["type"] == "DELETED")

    @kopf.on.event("", "v1", "nodes", registry=registry)
    async def on_node(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401  # kopf's
        wakes.node(event["object"], deleted=event["type"] == "DELETED")

"""The sides of the comparison: the operator, and Deployments with an HPA."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import yaml

HERE = Path(__file__).parent
NAMESPACE = "compare"
ENGINES_OF_THE_OPERATOR = "operated"
USUAL_GRACE_SECONDS = 30
"""Kubernetes' default of terminationGracePeriodSeconds."""
LONG_GRACE_SECONDS = 3600
"""The default of a CallCluster's drain.terminationGracePeriodSeconds."""
END_SECONDS = 5
WINDOW_SECONDS = 60
"""Of scaling in, on every side: as short as the day is. By default it is 300 on each."""
AS_IT_COMES: dict[str, Any] = {"scaleDown": {"stabilizationWindowSeconds": WINDOW_SECONDS}}
"""An HPA's default behaviour but for the window."""
GENTLE: dict[str, Any] = {
    "scaleDown": {
        "stabilizationWindowSeconds": WINDOW_SECONDS,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 15}],
    }
}
"""How fast the CallCluster scales in, in an HPA's words. Scaling out stays as it is: an HPA's
default, the faster of 4 pods and twice as many in 15 s, has a CallCluster's in it."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """One way of running engines."""

    name: str
    """Of its objects."""
    title: str

    @property
    def service(self) -> str:
        """The Service of its signalling."""
        return self.name

    @property
    def selector(self) -> str:
        """Labels of its engine pods."""
        return f"app.kubernetes.io/name={self.name}"


@dataclass(frozen=True)
class Operated(Side):
    """A CallCluster."""

    @property
    def service(self) -> str:
        return f"{self.name}-engine"

    @property
    def selector(self) -> str:
        return f"callfleet.dev/cluster={self.name}"


@dataclass(frozen=True)
class Plain(Side):
    """A Deployment with an HPA."""

    grace_seconds: int
    behavior: Json
    """The HPA's spec.behavior."""

    def manifests(self, *, image: str, node: str) -> list[Json]:
        """Everything but the Secret of its database. `node`: where clients reach the relay."""
        text = Template((HERE / "plain.yaml").read_text()).substitute(
            name=self.name,
            namespace=NAMESPACE,
            image=image,
            node=node,
            grace_seconds=self.grace_seconds,
            calls_may_go_on_seconds=self.grace_seconds - END_SECONDS,
        )
        objects: list[Json] = list(yaml.safe_load_all(text))
        (autoscaler,) = [o for o in objects if o["kind"] == "HorizontalPodAutoscaler"]
        autoscaler["spec"]["behavior"] = self.behavior
        return objects


OPERATED = Operated(ENGINES_OF_THE_OPERATOR, "CallCluster")
PLAIN = Plain("hpa", "HPA as it comes", USUAL_GRACE_SECONDS, AS_IT_COMES)
TUNED = Plain("hpa-tuned", "HPA tuned", LONG_GRACE_SECONDS, GENTLE)
SIDES: tuple[Operated | Plain, ...] = (OPERATED, PLAIN, TUNED)

"""The same engine image in a Deployment that something else scales."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from callfleet_operator.simulate.pods import Pod, Pods
from callfleet_operator.simulate.scalers import Scaler, Seen


@dataclass(slots=True)
class Deployment:
    """Pods that a ReplicaSet makes and deletes, whatever they carry.

    Deleted first are pods that are not ready, then the youngest ones (kubernetes.io, "ReplicaSet",
    "Scaling a ReplicaSet"; nothing sets a deletion cost, one pod a node). A deleted pod takes no
    new call; calls that still run when its grace is over are cut.
    """

    pods: Pods
    scaler: Scaler
    start_seconds: float
    grace_seconds: float
    """`terminationGracePeriodSeconds`."""
    _ending: dict[int, float] = field(default_factory=dict)
    """When each deleted pod ends, by ordinal."""

    @property
    def open(self) -> int:
        """Replicas."""
        return len(self.pods.present) - len(self._ending)

    def tick(self, now: float) -> None:
        """One sync."""
        for pod in list(self.pods.present):
            ends = self._ending.get(pod.ordinal)
            if ends is not None and (ends <= now or not pod.calls):
                self.pods.remove(pod)
                del self._ending[pod.ordinal]
        present = [pod for pod in self.pods.present if pod.ordinal not in self._ending]
        ready = [pod.used for pod in present if pod.ready(now)]
        terminating = self.pods.participants - sum(pod.used for pod in present)
        number = self.scaler.replicas(Seen(now, ready, len(present) - len(ready), terminating))
        for _ in range(number - len(present)):
            self.pods.add(self._free_ordinal(), now, now + self.start_seconds)
        surplus = max(0, len(present) - number)
        for pod in sorted(present, key=lambda one: _deleted_first(one, now))[:surplus]:
            self._delete(pod, now)

    def _delete(self, pod: Pod, now: float) -> None:
        pod.admits = False
        self._ending[pod.ordinal] = now + self.grace_seconds

    def _free_ordinal(self) -> int:
        taken = {pod.ordinal for pod in self.pods.present}
        return next(ordinal for ordinal in count() if ordinal not in taken)


def _deleted_first(pod: Pod, now: float) -> tuple[bool, float, int]:
    return pod.ready(now), -pod.created, -pod.ordinal

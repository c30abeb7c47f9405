"""What participants receive while a pod drains, by the sequence numbers of RTP."""

from __future__ import annotations

from tests.demo.snapshot import Pod
from tests.demo.stage import Stage

NOISE_PERCENT = 1
"""Of the packets: as much may be lost where the machine is busy. A pod that is cut loses all."""


def watch_media_while_draining(stage: Stage, scene: str, draining: Pod) -> None:
    """Let the participants of a draining pod receive enough packets to judge by, and expect that
    they miss no more of them than those of the pods that do not drain."""
    before = {pod: _received(stage, pod) for pod in _pods_with_calls(stage)}
    enough = before[draining.name][0] + stage.sizes.packets_while_draining
    stage.wait("media during the drain", lambda _: _received(stage, draining.name)[0] >= enough)
    lost = {pod: _received(stage, pod)[1] - before[pod][1] for pod in before}
    packets = {pod: _received(stage, pod)[0] - before[pod][0] for pod in before}
    others = [pod for pod in before if pod != draining.name]
    stage.timeline.add("drain-watched", pod=draining.name, packets=packets, missing=lost)
    most = max([packets[draining.name] * NOISE_PERCENT // 100, *(lost[pod] for pod in others)])
    stage.expect(
        scene,
        f"the drain of {draining.name} adds no gap in what its participants receive",
        met=lost[draining.name] <= most,
        seen=", ".join(
            f"{pod}{' (draining)' if pod == draining.name else ''}: {lost[pod]} of "
            f"{packets[pod]} packets missing"
            for pod in [draining.name, *others]
        ),
    )


def _pods_with_calls(stage: Stage) -> list[str]:
    return sorted({call["pod"] for call in stage.load.sample["calls"] if call["pod"]})


def _received(stage: Stage, pod: str) -> tuple[int, int]:
    calls = stage.load.calls_on(pod)
    return sum(call["packets"] for call in calls), sum(call["missing"] for call in calls)

"""One measurement: an operator is started for some of the CallClusters, left alone, and they are
changed."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiohttp

from callfleet_operator.gateway.resources import CALL_CLUSTERS, PODS
from tests.cluster.api_server import ApiServer
from tests.cluster.audit import AuditEvent
from tests.crds import CRDS
from tests.scale import processes
from tests.scale.api import MERGE, Api, Body, connected
from tests.scale.fleet import (
    NOT_STARTED,
    PODS_EACH,
    Size,
    furnish,
    make_fleets,
    metrics_of,
    play_kubelet,
)

OPERATOR = "callfleet-operator-scale"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Measured:
    """Times in seconds."""

    clusters: int
    """That the operator serves."""
    pods: int
    resident: float
    """MiB, at rest."""
    peak: float
    """MiB, the highest since the start, the first look at everything included."""
    rest: float
    """How long it was watched at rest."""
    writes_at_rest: int
    cpu_at_rest: float
    """Of one core, 0 to 1 and beyond."""
    rounds_a_second: float
    reactions: tuple[float, ...]
    """From a changed CallCluster to the pod it asks for, as the API server received both."""
    restart: float
    """From the start of the process until every CallCluster was decided on."""
    restart_cpu: float
    """Processor time until then."""
    writes_after_restart: int
    load: float
    """Processes that wanted to run, on average over the last minute of the rest."""


@dataclass
class Setting:
    """Everything but the operator; ends with the block that made it."""

    size: Size
    """The most there will be."""
    server: ApiServer
    api: Api
    page: Path
    prometheus: str
    address: str
    directory: Path
    say: Say
    tick: int
    """Seconds after which the operator looks at each CallCluster again."""
    clusters: int = 0
    """CallClusters that there are."""
    running: int = 0
    """Pods that run."""
    changed: int = 0
    """How often some of the CallClusters were changed."""

    async def writes(self, since: int) -> list[AuditEvent]:
        """What the operator wrote since a mark."""
        return await asyncio.to_thread(self.server.audit.writes, since, user=OPERATOR)

    async def mark(self) -> int:
        return await asyncio.to_thread(self.server.audit.mark)

    async def run_pods(self) -> int:
        """Let the kubelets look after all pods, and Prometheus see them; how many there are."""
        pods = await self.api.list_all(PODS, NOT_STARTED)
        await play_kubelet(self.api, self.size, pods, self.address)
        return self.count(pods)

    def count(self, pods: Iterable[Body]) -> int:
        """Let Prometheus see pods that run now; how many there are."""
        lines = [metrics_of(pod) for pod in pods]
        with self.page.open("a") as page:
            page.writelines(lines)
        self.running += len(lines)
        return self.running


@asynccontextmanager
async def setting(server: ApiServer, size: Size, say: Say, *, tick: int) -> AsyncIterator[Setting]:
    """With the CRDs, the namespaces and the nodes on an API server that runs."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callfleet-")))
        for verb in (("apply", "--server-side"), ("wait", "--for=condition=Established")):
            await asyncio.to_thread(server.kubectl, *verb, "-f", str(CRDS))
        api = await stack.enter_async_context(connected(server.kubeconfig))
        page = directory / "metrics"
        page.touch()
        # An address of its own: another run may have port 9091 of another one.
        address = f"127.{100 + os.getpid() % 100}.{os.getpid() // 100 % 250}.1"
        port = await stack.enter_async_context(
            processes.pods_stand_in(page, address, directory / "stand-in.log")
        )
        url = await stack.enter_async_context(processes.prometheus(directory, address, port, tick))
        made = Setting(size, server, api, page, url, address, directory, say, tick)
        await furnish(api, size)
        yield made


async def set_up(here: Setting, patience: float) -> None:
    """Let an operator make everything that is missing. Raises TimeoutError after `patience`
    seconds in one phase, as `measure` does."""
    async with operator(here) as started:
        await all_decided(here, started, patience)
        await at_rest(here, patience)
    here.say("all is set up")


async def measure(
    here: Setting, clusters: int, *, rest_seconds: int, changes: int, patience: float
) -> Measured:
    """Start an operator that serves so many of the CallClusters, in whole namespaces. `changes` of
    them are changed, which have to be others each time."""
    pods, changed = here.running, _spread(here, clusters, changes)
    part = Size(clusters).namespaces if clusters < here.clusters else ()
    mark, began = await here.mark(), time.monotonic()
    async with operator(here, part) as first:
        await all_decided(here, first, patience, clusters)
        restart, restart_cpu = time.monotonic() - began, first.cpu_seconds()
        here.say(f"{restart:.1f} s from a start to every CallCluster decided")
        after = await here.writes(mark)
        _name(here, after)
        await at_rest(here, patience)

        mark, before = await here.mark(), await rounds(first)
        cpu, since = first.cpu_seconds(), time.monotonic()
        await asyncio.sleep(rest_seconds)
        rest = time.monotonic() - since
        cpu_at_rest = (first.cpu_seconds() - cpu) / rest
        rounds_a_second = (await rounds(first) - before) / rest
        load = os.getloadavg()[0]
        written = await here.writes(mark)
        _name(here, written)
        resident, peak = first.resident()
        here.say(f"{cpu_at_rest:.1%} of a core, {resident:.0f} MiB")

        reactions = [await reaction(here, number, patience) for number in changed]
        here.say(f"reactions {' '.join(f'{one:.2f}' for one in reactions)} s")
        await all_run(here, pods + changes, patience)
    return Measured(
        clusters=clusters,
        pods=clusters * PODS_EACH,
        resident=resident,
        peak=peak,
        rest=rest,
        writes_at_rest=len(written),
        cpu_at_rest=cpu_at_rest,
        rounds_a_second=rounds_a_second,
        reactions=tuple(reactions),
        restart=restart,
        restart_cpu=restart_cpu,
        writes_after_restart=len(after),
        load=load,
    )


def _spread(here: Setting, clusters: int, changes: int) -> range:
    """So many of the CallClusters, none that was changed before."""
    found = range(here.changed, clusters, max(1, clusters // changes))[:changes]
    here.changed += 1
    return found


async def grow(here: Setting, clusters: int) -> range:
    """Make CallClusters, with pods that run, until there are so many; returns the new ones."""
    new = range(here.clusters, clusters)
    here.count(await make_fleets(here.api, here.size, new, here.address))
    here.clusters = clusters
    here.say(f"{clusters} CallClusters and {here.running} pods are made")
    return new


@asynccontextmanager
async def operator(
    here: Setting, namespaces: Sequence[str] = ()
) -> AsyncIterator[processes.Operator]:
    """One that acts in some namespaces or in all, until the block ends."""
    kubeconfig = await asyncio.to_thread(here.server.kubeconfig_of, OPERATOR, ["system:masters"])
    log = here.directory / "operator.log"
    async with processes.operator(
        kubeconfig, here.prometheus, log, here.tick, namespaces
    ) as started:
        yield started


async def all_run(here: Setting, pods: int, patience: float) -> None:
    """Until there are so many pods, and all of them are ready."""
    async with asyncio.timeout(patience):
        while await here.run_pods() < pods:  # noqa: ASYNC110  # other processes
            await asyncio.sleep(1)


async def all_decided(
    here: Setting, operator: processes.Operator, patience: float, clusters: int | None = None
) -> None:
    """Until the operator has decided on so many CallClusters, or all, since it was started.

    It is asked once a second: to tell its metrics of 2,000 CallClusters takes it 50 ms.
    """
    wanted = here.clusters if clusters is None else clusters
    async with asyncio.timeout(patience):
        while await _decided(operator) < wanted:  # noqa: ASYNC110  # another process
            await asyncio.sleep(1)


async def at_rest(here: Setting, patience: float) -> None:
    """Until two ticks have passed in which nothing was written."""
    async with asyncio.timeout(patience):
        while True:
            mark = await here.mark()
            await asyncio.sleep(2.2 * here.tick)
            written = await here.writes(mark)
            if not written:
                return
            here.say(f"{len(written)} writes within two ticks")
            _name(here, written)


async def reaction(here: Setting, number: int, patience: float) -> float:
    """Ask one CallCluster for one pod more; both times are the API server's."""
    namespace, name = here.size.cluster(number)
    mark = await here.mark()
    patch = {"spec": {"scaling": {"minReplicas": PODS_EACH + 1}}}
    await here.api.request("PATCH", CALL_CLUSTERS.path(namespace, name), patch, MERGE)
    async with asyncio.timeout(patience):
        while True:
            writes = await asyncio.to_thread(here.server.audit.writes, mark)
            asked = [one for one in writes if (one.resource, one.name) == ("callclusters", name)]
            made = [
                one
                for one in writes
                if one.verb == "create"
                and one.resource == "pods"
                and one.name == f"{name}-engine-{PODS_EACH}"
            ]
            if asked and made:
                return _time(made[0]) - _time(asked[0])
            await asyncio.sleep(0.1)


def _time(event: AuditEvent) -> float:
    return datetime.fromisoformat(event.received).timestamp()


async def _metrics(operator: processes.Operator) -> str:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{operator.pages}/metrics") as response,
    ):
        return await response.text()


async def rounds(operator: processes.Operator) -> float:
    """Rounds of CallClusters that have ended well."""
    text = await _metrics(operator)
    pattern = r'^callfleet_operator_reconcile_seconds_count\{kind="CallCluster"\} (\S+)'
    found = re.search(pattern, text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def _decided(operator: processes.Operator) -> int:
    """CallClusters that this process has decided on."""
    pattern = r'^callfleet_operator_desired_open\{kind="CallCluster"'
    return len(re.findall(pattern, await _metrics(operator), re.MULTILINE))


def _name(here: Setting, writes: list[AuditEvent]) -> None:
    """Say what was written."""
    kinds = Counter((one.verb, one.resource) for one in writes)
    for (verb, resource), count in kinds.most_common(5):
        here.say(f"  {count} times {verb} {resource}")

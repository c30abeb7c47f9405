"""Namespaces of a whole node, owned by one process: when it ends, the kernel ends them all.

`init` owns a mount, network, pid, ipc and uts namespace, and everything else lives in them.
Killing it ends every process, unmounts every mount and drops every interface; only control
groups outlive it (cgroups.py). The network has no way to the outside: no packet can leave the
machine. Another network namespace, the client's, has routes to the nodes' addresses only. A second
node has an `init` of its own, and a cable to the first.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass, replace

from tests.cluster.errors import HarnessError
from tests.cluster.run import Run

# Written by the programs below these folders, which are the run's own inside the namespaces.
HIDDEN = ("/run/", "/var/lib/", "/var/log/", "/proc/")
KINDS = ("--mount", "--net", "--pid", "--ipc", "--uts")
CLIENT = "client"
SECOND = "second"
# The kernel may give every new network namespace these (net.core.fb_tunnels_only_for_init_net).
FALLBACK_TUNNELS = frozenset(
    ["erspan0", "gre0", "gretap0", "ip6_vti0", "ip6gre0", "ip6tnl0", "ip_vti0", "sit0", "tunl0"]
)

# The kubelet insists on these values of the whole machine's settings. It is shown files that
# hold them instead: nothing is changed, so nothing has to be put back.
KUBELET_SYSCTLS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}

# Arguments: directory, host name, node address, and the client's where there is to be one.
INIT = r"""
set -e
cd "$1"
read -r stat </proc/self/stat && echo "$stat" >pids/init  # /proc still is the outer one
flock -u 0  # the lock that `kill` waits for: from here on everything is recorded
exec </dev/null
mount -n --bind "$1/root/run" /run  # first, and -n: mount keeps notes in /run
mount --make-rshared /
mount -t proc proc /proc
for d in var/lib var/log; do mount --bind "$1/root/$d" "/$d"; done
(cd root/sysctl && find . -type f) | while read -r f; do
  mount --bind "root/sysctl/$f" "/proc/sys/$f"
done
hostname "$2"
ip link set lo up
ip address add "$3/32" dev lo
sysctl -qw net.ipv4.ip_forward=1
if [ -n "$4" ]; then
ip netns add client
ip link add client0 type veth peer name eth0 netns client
ip link set client0 up
ip route add "$4/32" dev client0 src "$3"
ip -n client link set lo up
ip -n client link set eth0 up
ip -n client address add "$4/32" dev eth0
ip -n client route add "$3/32" dev eth0 src "$4"
fi
touch root/run/ready
while :; do sleep infinity & wait; done
"""


@dataclass(frozen=True)
class Network:
    """Addresses inside one cluster's namespaces; two clusters may use the same ones."""

    node: str = "10.78.0.1"
    pods: str = "10.78.1.0/24"
    services: str = "10.78.2.0/24"
    dns: str = "10.78.2.10"
    client: str = "10.78.3.2"
    """Empty: this node has none of its own."""
    second_node: str = "10.78.0.2"
    second_pods: str = "10.78.4.0/24"

    @property
    def of_second(self) -> Network:
        """The network as a second node has it."""
        return replace(self, node=self.second_node, pods=self.second_pods, client="")


def isolate(run: Run, name: str, network: Network) -> None:
    """Start init in fresh namespaces and make `run` enter them."""
    if f"{run.directory}/".startswith(HIDDEN):
        raise HarnessError(
            f"{run.directory} would be hidden by the cluster's own /run, /var/lib or /var/log: "
            "set CALLFLEET_STATE to another place"
        )
    for folder in ("run/netns", "run/lock", "var/lib", "var/log"):
        (run.directory / "root" / folder).mkdir(parents=True)
    for key, value in KUBELET_SYSCTLS.items():
        file = run.directory / "root/sysctl" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{value}\n")
    flags = [*KINDS, "--propagation=private", "--fork", "--kill-child=KILL"]
    script = ["bash", "-c", INIT, "init", str(run.directory), name, network.node, network.client]
    run.processes.spawn(
        "unshare",
        ["unshare", *flags, *script],
        die_with_parent=run.die_with_parent,
        records_itself=True,
    )
    deadline = time.monotonic() + 20
    while not (run.directory / "root/run/ready").exists():
        if "unshare" not in run.processes.living() or time.monotonic() > deadline:
            raise HarnessError(f"no namespaces were made: {run.processes.log_tail('unshare')}")
        time.sleep(0.02)
    join(run)
    _require_isolation(run, network)


def join(run: Run) -> None:
    """Make `run` enter the namespaces of the init that lives."""
    run.enter = ("nsenter", f"--target={_init(run)}", *KINDS, "--")


def in_node_network(run: Run) -> list[str]:
    """Prefix of a command that keeps the caller's files and has the node's network."""
    return ["nsenter", f"--target={_init(run)}", "--net", "--"]


def in_client_network(run: Run) -> list[str]:
    """Prefix of a command that keeps the caller's files and has the client's network."""
    return ["nsenter", f"--net=/proc/{_init(run)}/root/run/netns/{CLIENT}", "--"]


def connect(first: Run, second: Run, network: Network) -> None:
    """Lay a cable between two nodes: each reaches the other's address and pods, the client both."""
    node, pods = network.second_node, network.second_pods
    here, there = in_node_network(first), in_node_network(second)
    _ip(here, "link", "add", SECOND, "type", "veth", "peer", "name", "first",
        "netns", str(_init(second)))  # fmt: skip
    _ip(here, "link", "set", SECOND, "up")
    _ip(there, "link", "set", "first", "up")
    _ip(here, "route", "add", f"{node}/32", "dev", SECOND, "src", network.node)
    _ip(here, "route", "add", pods, "via", node, "dev", SECOND, "onlink", "src", network.node)
    _ip(there, "route", "add", f"{network.node}/32", "dev", "first", "src", node)
    for target in (network.pods, f"{network.client}/32"):
        _ip(there, "route", "add", target, "via", network.node, "dev", "first", "onlink",
            "src", node)  # fmt: skip
    _ip(in_client_network(first), "route", "add", f"{node}/32", "via", network.node,
        "dev", "eth0", "onlink", "src", network.client)  # fmt: skip


def disconnect(first: Run, network: Network) -> None:
    """Take the cable out again; the second node need not be there any more."""
    _ip(in_node_network(first), "link", "delete", SECOND)
    _ip(in_client_network(first), "route", "delete", f"{network.second_node}/32")


def _ip(prefix: list[str], *arguments: str) -> None:
    argv = [*prefix, "ip", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
    if done.returncode:
        raise HarnessError(f"ip {' '.join(arguments)}: {done.stderr}")


def _init(run: Run) -> int:
    pid = run.processes.living().get("init")
    if pid is None:
        raise HarnessError(f"the cluster in {run.directory} is not up")
    return pid


def _require_isolation(run: Run, network: Network) -> None:
    """Requests to an address that is not the namespace's own would leave the machine."""
    route = run.run("ip", "route", "get", network.node).stdout
    links = {link["ifname"] for link in json.loads(run.run("ip", "-json", "link").stdout)}
    strangers = links - {"lo", f"{CLIENT}0"} - FALLBACK_TUNNELS
    if not route.startswith("local") or strangers:
        raise HarnessError(f"the namespaces are not isolated: {route} {sorted(strangers)}")

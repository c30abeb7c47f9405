"""The programs of a node: containerd, kubelet and kube-proxy; scheduler and DNS of the cluster."""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.cluster.clients import kubectl
from tests.cluster.errors import HarnessError
from tests.cluster.go_programs import KUBERNETES
from tests.cluster.namespaces import Network
from tests.cluster.pki import Authority
from tests.cluster.run import Run
from tests.cluster.static_images import COREDNS, PAUSE

CNI_PLUGINS = ("/usr/lib/cni", "/opt/cni/bin")
DNS = Path(__file__).parent / "dns.yaml"
API = "https://127.0.0.1:6443"


def cni_plugins() -> Path:
    """The folder of the CNI plugins: Debian's, or the one that everybody else uses."""
    for folder in map(Path, CNI_PLUGINS):
        if (folder / "portmap").exists():
            return folder
    raise HarnessError(
        f"no CNI plugins in {' or '.join(CNI_PLUGINS)}: run `python -m tests.cluster prepare`"
    )


def start_containerd(run: Run, network: Network) -> None:
    etc = run.directory / "etc"
    (etc / "cni").mkdir(parents=True)
    bridge = {
        "type": "bridge",
        "bridge": "pods0",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": network.pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    plugins = {"cniVersion": "0.4.0", "name": "callfleet", "plugins": [bridge, portmap]}
    (etc / "cni/10-callfleet.conflist").write_text(json.dumps(plugins))
    (etc / "containerd.toml").write_text(
        f"""version = 2
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true  # a container may lack CAP_SYS_RESOURCE
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{cni_plugins()}"
  conf_dir = "{etc}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
"""
    )
    run.spawn("containerd", "containerd", f"--config={etc}/containerd.toml")


def start_kubelet(
    run: Run, authority: Authority, name: str, network: Network, api: str = API
) -> None:
    kubeconfig = authority.kubeconfig(
        run.directory / "kubelet.kubeconfig",
        server=api,
        user=f"system:node:{name}",
        groups=["system:nodes"],
    )
    # Signed by the authority that the API server checks: logs, exec and port-forward need it.
    certificate, key = authority.server("kubelet-server", name, [network.node, name])
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority.certificate_file)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{name}",
        "failCgroupV1": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        "clusterDNS": [network.dns],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": False,
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
    }
    run.spawn(
        "kubelet",
        KUBERNETES.path() / "kubelet",
        f"--config={_written(run, 'kubelet.json', config)}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={name}",
        f"--node-ip={network.node}",
    )


def start_scheduler(run: Run, authority: Authority) -> None:
    kubeconfig = authority.kubeconfig(
        run.directory / "scheduler.kubeconfig", server=API, user="system:kube-scheduler"
    )
    run.spawn(
        "kube-scheduler",
        KUBERNETES.path() / "kube-scheduler",
        f"--kubeconfig={kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
    )


def start_proxy(
    run: Run, authority: Authority, name: str, network: Network, api: str = API
) -> None:
    kubeconfig = authority.kubeconfig(
        run.directory / "proxy.kubeconfig", server=api, user="system:kube-proxy"
    )
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "hostnameOverride": name,
        "clusterCIDR": network.pods,
        "conntrack": {"maxPerCore": 0, "min": 0},  # the limit is the whole machine's
        "oomScoreAdj": 0,
    }
    run.spawn(
        "kube-proxy",
        KUBERNETES.path() / "kube-proxy",
        f"--config={_written(run, 'proxy.json', config)}",
    )
    # Without a default route the namespace itself needs to know where services are;
    # kube-proxy rewrites the destination before the packet reaches lo.
    run.run("ip", "route", "add", network.services, "dev", "lo", "src", network.node)


def start_dns(run: Run, admin: Path, network: Network) -> None:
    """Apply CoreDNS and return when it answers."""
    manifest = run.directory / "etc/dns.yaml"
    text = DNS.read_text().replace("CLUSTER_DNS", network.dns).replace("COREDNS_IMAGE", COREDNS)
    manifest.write_text(text)
    api = (kubectl(), f"--kubeconfig={admin}")
    run.run(*api, "apply", "-f", manifest)
    run.run(*api, "-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s")


def import_images(run: Run, archives: Iterable[Path]) -> None:
    """Give containerd the images of archives (docker-archive or OCI)."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        for done in [pool.submit(_import, run, path) for path in archives]:
            done.result()


def _import(run: Run, archive: Path) -> None:
    run.run("ctr", "-n", "k8s.io", "images", "import", archive.resolve(), timeout_seconds=300)


def _written(run: Run, name: str, config: dict[str, object]) -> Path:
    path = run.directory / "etc" / name
    path.write_text(json.dumps(config))
    return path

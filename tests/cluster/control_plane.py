"""etcd, kube-apiserver and kube-controller-manager of one run."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.clients import kubectl
from tests.cluster.go_programs import ETCD, KUBERNETES
from tests.cluster.pki import Authority
from tests.cluster.run import Run

AUDIT_POLICY = Path(__file__).parent / "audit_policy.yaml"
FRONT_PROXY = "front-proxy-client"
SERVICE_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True)
class Addresses:
    """Where a control plane serves."""

    port: int
    etcd_port: int
    advertise: str
    services: str
    """CIDR of the services' addresses."""
    has_node: bool
    """Pods reach the API: it listens on every address of its own network namespace."""

    @property
    def url(self) -> str:
        """Loopback even where the API serves on a namespace's own address: a client that was
        not run in the namespace is refused there and sends nothing off the machine."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def first_service(self) -> str:
        return str(ipaddress.ip_network(self.services)[1])


def start(run: Run, addresses: Addresses, authority: Authority) -> Path:
    """Start the three programs and return the administrator's kubeconfig when they serve.

    Raises ProgramDiedError if one of them ends, for example because its port was taken.
    """
    admin = authority.kubeconfig(
        run.directory / "admin.kubeconfig",
        server=addresses.url,
        user="admin",
        groups=["system:masters"],
    )
    etcd = f"http://127.0.0.1:{addresses.etcd_port}"
    anywhere = "http://127.0.0.1:0"
    run.spawn(
        "etcd",
        ETCD.path() / "server",
        "--name=callfleet",
        f"--data-dir={run.directory}/etcd",
        "--unsafe-no-fsync",  # the data is thrown away
        f"--listen-client-urls={etcd}",
        f"--advertise-client-urls={etcd}",
        f"--listen-peer-urls={anywhere}",
        f"--initial-advertise-peer-urls={anywhere}",
        f"--initial-cluster=callfleet={anywhere}",
    )
    programs = KUBERNETES.path()
    run.spawn("kube-apiserver", programs / "kube-apiserver", *_apiserver(run, addresses, authority))
    api = (kubectl(), f"--kubeconfig={admin}")
    run.wait("API server", (*api, "get", "--raw=/readyz"), needs=("etcd", "kube-apiserver"))
    # Not earlier: before the bootstrap roles exist it is refused and backs off for seconds.
    manager = authority.kubeconfig(
        run.directory / "controller-manager.kubeconfig",
        server=addresses.url,
        user="system:kube-controller-manager",
    )
    pki = authority.directory
    run.spawn(
        "kube-controller-manager",
        programs / "kube-controller-manager",
        f"--kubeconfig={manager}",
        "--secure-port=0",
        "--leader-elect=false",
        "--use-service-account-credentials=true",
        # At its default of 20 requests a second its start takes 5 s longer.
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        f"--service-account-private-key-file={pki}/service-accounts.key",
        f"--root-ca-file={authority.certificate_file}",
        f"--cluster-signing-cert-file={authority.certificate_file}",
        f"--cluster-signing-key-file={pki}/ca.key",
        f"--flex-volume-plugin-dir={run.directory}/flexvolume",  # else it makes one in /usr
    )
    # Pods are refused until the controller manager has made the namespace's account.
    run.wait(
        "service accounts",
        (*api, "get", "serviceaccount", "default"),
        needs=("etcd", "kube-apiserver", "kube-controller-manager"),
    )
    return admin


def _apiserver(run: Run, addresses: Addresses, authority: Authority) -> list[str]:
    hosts = ["127.0.0.1", addresses.advertise, addresses.first_service, *SERVICE_NAMES]
    certificate, key = authority.server("apiserver", "kube-apiserver", hosts)
    public, signing = authority.signing_key("service-accounts")
    kubelet_certificate, kubelet_key = authority.client(
        "kubelet-client", "kube-apiserver-kubelet-client", ["system:masters"]
    )
    ca = authority.certificate_file
    # For APIs that pods serve, such as custom metrics: they know the API server by this authority,
    # which signs nobody else (kubernetes.io, "Configure the Aggregation Layer").
    front = Authority(authority.directory / "front-proxy")
    proxy_certificate, proxy_key = front.client("front-proxy-client", FRONT_PROXY)
    return [
        f"--etcd-servers=http://127.0.0.1:{addresses.etcd_port}",
        f"--bind-address={'0.0.0.0' if addresses.has_node else '127.0.0.1'}",
        f"--advertise-address={addresses.advertise}",
        f"--secure-port={addresses.port}",
        # A loopback address is no valid endpoint of the service `kubernetes`.
        *([] if addresses.has_node else ["--endpoint-reconciler-type=none"]),
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--client-ca-file={ca}",
        f"--requestheader-client-ca-file={front.certificate_file}",
        f"--requestheader-allowed-names={FRONT_PROXY}",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={proxy_certificate}",
        f"--proxy-client-key-file={proxy_key}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={public}",
        f"--service-account-signing-key-file={signing}",
        f"--service-cluster-ip-range={addresses.services}",
        f"--kubelet-certificate-authority={ca}",
        f"--kubelet-client-certificate={kubelet_certificate}",
        f"--kubelet-client-key={kubelet_key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--audit-policy-file={AUDIT_POLICY}",
        f"--audit-log-path={run.directory}/audit.log",
        "--audit-log-maxsize=1000",
    ]

"""Where one control plane keeps its things, and the command lines of its programs: pure."""

from dataclasses import dataclass
from pathlib import Path

from pilothouse.local.controlplane.pki import Pki
from pilothouse.local.controlplane.programs import Program
from pilothouse.local.ports import LOOPBACK

ISSUER = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True)
class Ports:
    """Where the servers listen, on 127.0.0.1."""

    etcd: int
    etcd_peer: int
    api: int


@dataclass(frozen=True)
class Layout:
    """Where one control plane keeps its things."""

    directory: Path

    @property
    def pki(self) -> Pki:
        """Certificates and keys."""
        return Pki(self.directory / "pki")

    @property
    def etcd_data(self) -> Path:
        """The cluster's state."""
        return self.directory / "etcd"

    @property
    def tokens(self) -> Path:
        """The API server's users: token, name, uid, groups."""
        return self.directory / "tokens.csv"

    @property
    def ports(self) -> Path:
        """The ports of the last start, so that kubeconfigs stay good over a restart."""
        return self.directory / "ports.json"

    @property
    def lock(self) -> Path:
        """Held while someone runs a control plane here."""
        return self.directory / "lock"

    def kubeconfig(self, user: str) -> Path:
        """The kubeconfig of one user."""
        return self.directory / f"{user}.kubeconfig"

    def log(self, program: Program) -> Path:
        """A program's log file."""
        return self.directory / "logs" / f"{program}.log"

    def pid_file(self, program: Program) -> Path:
        """A detached program's pid file."""
        return self.directory / "run" / f"{program}.pid"


def arguments(program: Program, layout: Layout, ports: Ports) -> tuple[str, ...]:
    """The arguments of one program. They name files, never a secret."""
    match program:
        case "etcd":
            return _etcd(layout, ports)
        case "kube-apiserver":
            return _api_server(layout, ports)
        case "kube-controller-manager":
            return _controller_manager(layout)
        case "kube-scheduler":
            return _scheduler(layout)


def _etcd(layout: Layout, ports: Ports) -> tuple[str, ...]:
    client, peer = f"https://{LOOPBACK}:{ports.etcd}", f"https://{LOOPBACK}:{ports.etcd_peer}"
    pki = layout.pki
    return (
        "--name=local",
        f"--data-dir={layout.etcd_data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=local={peer}",
        # Loopback is open to every user of the machine, and etcd asks nobody for a role.
        f"--cert-file={pki.certificate('etcd')}",
        f"--key-file={pki.key('etcd')}",
        f"--trusted-ca-file={pki.etcd_ca}",
        "--client-cert-auth",
        f"--peer-cert-file={pki.certificate('etcd')}",
        f"--peer-key-file={pki.key('etcd')}",
        f"--peer-trusted-ca-file={pki.etcd_ca}",
        "--peer-client-cert-auth",
        # Safe against killed processes, not against a power cut: this is no one's production.
        "--unsafe-no-fsync",
        "--auto-compaction-retention=1",
        "--log-level=warn",
    )


def _api_server(layout: Layout, ports: Ports) -> tuple[str, ...]:
    pki = layout.pki
    return (
        f"--etcd-servers=https://{LOOPBACK}:{ports.etcd}",
        f"--etcd-cafile={pki.etcd_ca}",
        f"--etcd-certfile={pki.certificate('etcd-client')}",
        f"--etcd-keyfile={pki.key('etcd-client')}",
        f"--bind-address={LOOPBACK}",
        f"--advertise-address={LOOPBACK}",
        f"--secure-port={ports.api}",
        "--endpoint-reconciler-type=none",
        f"--tls-cert-file={pki.certificate('apiserver')}",
        f"--tls-private-key-file={pki.key('apiserver')}",
        f"--client-ca-file={pki.ca}",
        f"--token-auth-file={layout.tokens}",
        "--anonymous-auth=false",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        # The API server itself calls Services (aggregated APIs, webhooks). Their addresses lead
        # nowhere here, and must not lead out of this machine: somebody may answer there.
        "--service-cluster-ip-range=127.96.0.0/16",
        f"--service-account-issuer={ISSUER}",
        f"--api-audiences={ISSUER}",
        f"--service-account-key-file={pki.service_account_public_key}",
        f"--service-account-signing-key-file={pki.service_account_key}",
        # How `kubectl logs` reaches the simulated nodes: both sides show a certificate.
        f"--kubelet-certificate-authority={pki.ca}",
        f"--kubelet-client-certificate={pki.certificate('kubelet-client')}",
        f"--kubelet-client-key={pki.key('kubelet-client')}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={pki.front_proxy_ca}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki.certificate('front-proxy-client')}",
        f"--proxy-client-key-file={pki.key('front-proxy-client')}",
        "--profiling=false",
    )


def _controller_manager(layout: Layout) -> tuple[str, ...]:
    pki = layout.pki
    return (
        f"--kubeconfig={layout.kubeconfig('controller-manager')}",
        # Nobody asks it anything: no port, no certificate, nothing to attack.
        "--secure-port=0",
        "--leader-elect=false",
        # One identity for all controllers is ready in 1 s, one each in 6 s; on one machine the
        # controller manager is trusted as a whole.
        "--use-service-account-credentials=false",
        f"--service-account-private-key-file={pki.service_account_key}",
        f"--root-ca-file={pki.ca}",
        f"--cluster-signing-cert-file={pki.ca}",
        f"--cluster-signing-key-file={pki.key('ca')}",
        "--allocate-node-cidrs=false",
        # A laptop sleeps; its nodes should not be declared dead when it wakes.
        "--node-monitor-grace-period=120s",
        # Its own default of 20 requests a second is meant for a shared API server: with it, 100
        # Deployments take 24 s to become available here, without 4 s.
        "--kube-api-qps=300",
        "--kube-api-burst=600",
        "--profiling=false",
    )


def _scheduler(layout: Layout) -> tuple[str, ...]:
    return (
        f"--kubeconfig={layout.kubeconfig('scheduler')}",
        "--secure-port=0",
        "--leader-elect=false",
        "--profiling=false",
    )

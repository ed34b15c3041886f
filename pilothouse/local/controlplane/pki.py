"""The certificates and keys of one embedded control plane, made once and kept in its directory.

Three authorities, so that none can speak for another: the cluster's own, the one of requests that
the API server forwards (front proxy), and etcd's, because whoever reaches etcd is past all RBAC.
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALIDITY = timedelta(days=3650)
"""Nothing renews them and nothing outside this machine trusts them."""
SERVICE_IP = "127.96.0.1"
"""The first address of the service range: what Pods call the API server."""
_CLOCK_SKEW = timedelta(minutes=5)
_SERVER = ExtendedKeyUsageOID.SERVER_AUTH
_CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Pki:
    """Where the certificates and keys are: PEM files, keys with mode 0600."""

    directory: Path

    @property
    def ca(self) -> Path:
        """The cluster's authority."""
        return self.directory / "ca.crt"

    @property
    def front_proxy_ca(self) -> Path:
        """The authority for requests that the API server forwards."""
        return self.directory / "front-proxy-ca.crt"

    @property
    def etcd_ca(self) -> Path:
        """The authority that etcd and its one client trust."""
        return self.directory / "etcd-ca.crt"

    @property
    def service_account_key(self) -> Path:
        """Signs the tokens of ServiceAccounts."""
        return self.directory / "sa.key"

    @property
    def service_account_public_key(self) -> Path:
        """Verifies the tokens of ServiceAccounts."""
        return self.directory / "sa.pub"

    def certificate(self, name: str) -> Path:
        """A leaf's certificate, by the names in `LEAVES`, or an authority's."""
        return self.directory / f"{name}.crt"

    def key(self, name: str) -> Path:
        """The private key that belongs to `certificate(name)`."""
        return self.directory / f"{name}.key"


@dataclass(frozen=True)
class Leaf:
    """One certificate to issue."""

    name: str
    authority: str
    common_name: str
    usages: tuple[x509.ObjectIdentifier, ...]
    organization: str | None = None
    hosts: tuple[str, ...] = ()


AUTHORITIES = ("ca", "front-proxy-ca", "etcd-ca")
LEAVES = (
    Leaf(
        "apiserver",
        "ca",
        "kube-apiserver",
        (_SERVER,),
        hosts=(
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
            "127.0.0.1",
            SERVICE_IP,
        ),
    ),
    Leaf("kubelet-client", "ca", "kube-apiserver-kubelet-client", (_CLIENT,), "system:masters"),
    Leaf("kubelet", "ca", "simulated-kubelet", (_SERVER,), hosts=("localhost", "127.0.0.1")),
    Leaf("front-proxy-client", "front-proxy-ca", "front-proxy-client", (_CLIENT,)),
    Leaf("etcd", "etcd-ca", "etcd", (_SERVER, _CLIENT), hosts=("localhost", "127.0.0.1")),
    Leaf("etcd-client", "etcd-ca", "kube-apiserver-etcd-client", (_CLIENT,)),
)


def create_pki(directory: Path) -> Pki:
    """Make all certificates and keys, or return those that are there.

    All or none: they are made beside and moved into place together.

    Idempotent: yes; a second call changes nothing.
    """
    pki = Pki(directory)
    if directory.exists():
        return pki
    draft = directory.with_name(f"{directory.name}.new-{os.getpid()}")
    draft.mkdir(mode=0o700, parents=True)
    _make(Pki(draft), datetime.now(UTC))
    draft.rename(directory)
    return pki


def _make(pki: Pki, now: datetime) -> None:
    authorities = {name: _authority(name, now) for name in AUTHORITIES}
    for name, (certificate, key) in authorities.items():
        _store(pki, name, certificate, key)
    for leaf in LEAVES:
        certificate, key = _issue(leaf, *authorities[leaf.authority], now)
        _store(pki, leaf.name, certificate, key)
    signing_key = ec.generate_private_key(ec.SECP256R1())
    _write_private(pki.service_account_key, _pem(signing_key))
    pki.service_account_public_key.write_bytes(
        signing_key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _authority(name: str, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(f"pilothouse-{name}")
    builder = (
        _builder(subject, subject, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
    )
    return builder.sign(key, hashes.SHA256()), key


def _issue(
    leaf: Leaf, issuer: x509.Certificate, issuer_key: ec.EllipticCurvePrivateKey, now: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(leaf.common_name, leaf.organization)
    # Python verifies strictly since 3.13: without the authority's key id a chain is refused.
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = (
        _builder(subject, issuer.subject, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(leaf.usages), critical=False)
        .add_extension(authority_id, critical=False)
    )
    if leaf.hosts:
        names = x509.SubjectAlternativeName(_alternative_names(leaf.hosts))
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256()), key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509
        .CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _subject(common_name: str, organization: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        # Kubernetes reads the organization as the user's group.
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _alternative_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    return [_alternative_name(host) for host in hosts]


def _alternative_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _store(
    pki: Pki, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    pki.certificate(name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    _write_private(pki.key(name), _pem(key))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    # SEC1 ("EC PRIVATE KEY"), which every reader here takes, those of ServiceAccount keys included.
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)

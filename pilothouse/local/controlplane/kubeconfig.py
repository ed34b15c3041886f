"""Kubeconfig files: one cluster, one user with a token, one context."""

import base64
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import SecretStr

from pilothouse.local.private_files import write_private


@dataclass(frozen=True)
class Cluster:
    """Where an API server is and how to know that it is the right one."""

    name: str
    server: str
    ca_pem: bytes | None
    """None: an authority that this machine's trust store knows."""
    tls_server_name: str | None = None


def write_kubeconfig(
    path: Path, cluster: Cluster, *, user: str, token: SecretStr, namespace: str = "default"
) -> Path:
    """Write a kubeconfig with mode 0600, in one step; returns its path.

    The authority's certificate is inside, so that the file can be copied.
    """
    connection: dict[str, str] = {"server": cluster.server}
    if cluster.ca_pem is not None:
        connection["certificate-authority-data"] = base64.b64encode(cluster.ca_pem).decode()
    if cluster.tls_server_name is not None:
        connection["tls-server-name"] = cluster.tls_server_name
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster.name, "cluster": connection}],
        "users": [{"name": user, "user": {"token": token.get_secret_value()}}],
        "contexts": [
            {
                "name": cluster.name,
                "context": {"cluster": cluster.name, "user": user, "namespace": namespace},
            }
        ],
        "current-context": cluster.name,
    }
    write_private(path, yaml.safe_dump(document, sort_keys=False))
    return path

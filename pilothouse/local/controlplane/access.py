"""Giving the deployer its rights in one environment, and a kubeconfig to use them with.

The rights are data, in `rbac.yaml`, so that people can read them, and apply them to a cluster of
their own without this code.
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import cast

import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_kube_config
from pydantic import JsonValue, SecretStr

from pilothouse.clients.cluster.answers import Refusal, Unavailable
from pilothouse.clients.cluster.transport import APPLY_PATCH, Transport
from pilothouse.local.controlplane.kubeconfig import Cluster, write_kubeconfig
from pilothouse.models.errors import PermanentError, TemporaryError

SYSTEM_NAMESPACE = "pilothouse-system"
DEPLOYER = "pilothouse-deployer"
TOKEN_LIFETIME = timedelta(hours=24)
_PLACEHOLDER = "NAMESPACE"
_FIELD_MANAGER = "pilothouse-setup"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_RESOURCES = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Namespace": "namespaces",
    "Role": "roles",
    "RoleBinding": "rolebindings",
    "ServiceAccount": "serviceaccounts",
}

Manifest = dict[str, JsonValue]


def environment_manifests(namespace: str) -> tuple[Manifest, ...]:
    """The objects of `rbac.yaml` for one environment's namespace, in the order to apply.

    Raises:
        PermanentError: `InvalidRequest`, no name for a namespace, or one of the cluster's own.
    """
    if not _LABEL.fullmatch(namespace):
        raise PermanentError(
            "InvalidRequest", f"{namespace!r} is no name for a namespace: use a-z, 0-9 and dashes"
        )
    if namespace.startswith("kube-") or namespace == SYSTEM_NAMESPACE:
        # Who may create a Pod there has the rights of the ServiceAccounts there.
        raise PermanentError(
            "InvalidRequest", f"{namespace} belongs to the cluster itself; deploy somewhere else"
        )
    text = Path(__file__).with_name("rbac.yaml").read_text(encoding="utf-8")
    # Filled in after parsing: a value can never become structure.
    documents = [_fill(document, namespace) for document in yaml.safe_load_all(text)]
    return tuple(cast("list[Manifest]", documents))


async def grant_environment(
    admin_kubeconfig: Path, namespace: str, *, context: str | None = None
) -> None:
    """Make an environment's namespace and give the deployer its rights there, and only there.

    Args:
        admin_kubeconfig: of somebody who may create namespaces and roles.
        namespace: the environment's.
        context: in the kubeconfig; None is its current one.

    Raises:
        PermanentError: `InvalidRequest`, the namespace cannot be an environment's;
            `ClusterRefused`, the administrator may not do this.
        TemporaryError: `ClusterUnavailable`.

    Idempotent: yes; rights that a later version of ours no longer grants are taken away.
    """
    manifests = environment_manifests(namespace)
    transport = await Transport.connect(admin_kubeconfig, context)
    try:
        for manifest in manifests:
            await _call(
                transport,
                "PATCH",
                _path(manifest),
                manifest,
                query={"fieldManager": _FIELD_MANAGER, "force": "true"},
                content_type=APPLY_PATCH,
            )
    finally:
        await transport.close()


async def deployer_kubeconfig(
    admin_kubeconfig: Path,
    namespace: str,
    destination: Path,
    *,
    context: str | None = None,
    lifetime: timedelta = TOKEN_LIFETIME,
) -> Path:
    """Write a kubeconfig for the deployer, with a new short-lived token; returns its path.

    One deployer serves all environments that were granted on this cluster.

    Args:
        admin_kubeconfig: of somebody who may ask for the deployer's tokens.
        namespace: the kubeconfig's default namespace.
        destination: written with mode 0600, in one step.
        context: in the administrator's kubeconfig; None is its current one.
        lifetime: of the token; the server may shorten it. At least ten minutes.

    Raises:
        PermanentError: `ClusterRefused`, no deployer yet (`grant_environment` first), no right to
            ask, or a kubeconfig that does not verify the server.
        TemporaryError: `ClusterUnavailable`.

    Idempotent: each call makes a new token; older ones stay good until they expire.
    """
    cluster = await _read_cluster(admin_kubeconfig, context)
    transport = await Transport.connect(admin_kubeconfig, context)
    try:
        answer = await _call(
            transport,
            "POST",
            f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/serviceaccounts/{DEPLOYER}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": int(lifetime.total_seconds())},
            },
        )
    finally:
        await transport.close()
    return write_kubeconfig(
        destination, cluster, user=DEPLOYER, token=_token(answer), namespace=namespace
    )


async def _call(
    transport: Transport,
    method: str,
    path: str,
    body: Manifest,
    *,
    query: dict[str, str] | None = None,
    content_type: str = "application/json",
) -> Manifest:
    try:
        return await transport.json(method, path, query=query, body=body, content_type=content_type)
    except Refusal as error:
        raise error.as_permanent(f"granting access ({method} {path})") from error
    except Unavailable as error:
        raise TemporaryError("ClusterUnavailable", str(error)) from error


async def _read_cluster(kubeconfig: Path, context: str | None) -> Cluster:
    configuration = Configuration()
    try:
        await load_kube_config(
            config_file=str(kubeconfig),
            context=context,
            client_configuration=configuration,
            persist_config=False,
        )
    except (ConfigException, OSError, ValueError) as error:
        raise PermanentError(
            "ClusterRefused", f"the kubeconfig {kubeconfig} cannot be used: {error}"
        ) from error
    if not configuration.verify_ssl:
        raise PermanentError(
            "ClusterRefused",
            f"{kubeconfig} does not verify the server; a token would go to whoever answers",
        )
    ca = configuration.ssl_ca_cert
    return Cluster(
        name="pilothouse",
        server=configuration.host,
        ca_pem=None if ca is None else Path(ca).read_bytes(),
        tls_server_name=configuration.tls_server_name,
    )


def _token(answer: Manifest) -> SecretStr:
    status = answer.get("status")
    token = status.get("token") if isinstance(status, dict) else None
    if not isinstance(token, str):
        raise PermanentError("ClusterRefused", "the API server answered without a token")
    return SecretStr(token)


def _path(manifest: Manifest) -> str:
    metadata = cast("dict[str, str]", manifest["metadata"])
    version, kind = str(manifest["apiVersion"]), str(manifest["kind"])
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    space = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{root}{space}/{_RESOURCES[kind]}/{metadata['name']}"


def _fill(value: JsonValue, namespace: str) -> JsonValue:
    if isinstance(value, dict):
        return {key: _fill(item, namespace) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, namespace) for item in value]
    return namespace if value == _PLACEHOLDER else value

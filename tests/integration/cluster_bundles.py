"""Bundles and objects for tests of the cluster client, and what they are applied with."""

from collections import Counter
from typing import Any

from kubernetes.aio import client
from pydantic import JsonValue

from pilothouse.clients.cluster import ClusterClient
from pilothouse.clients.cluster.answers import Answer
from pilothouse.clients.cluster.transport import Transport
from pilothouse.models.objects import ApplyReport, Bundle, Manifest, ObjectRef, Plan

REVISION = "a" * 40
INVENTORY = "pilothouse-shop-staging"


def bundle(namespace: str, *bodies: dict[str, JsonValue]) -> Bundle:
    manifests = [
        Manifest(file=f"k8s/{index}.yaml", line=index, body=body)
        for index, body in enumerate(bodies, start=1)
    ]
    return Bundle(
        environment="staging",
        namespace=namespace,
        policy="sha256:" + "0" * 64,
        manifests=tuple(manifests),
    )


def config_map(name: str, **data: JsonValue) -> dict[str, JsonValue]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def placed(**metadata: JsonValue) -> dict[str, JsonValue]:
    """A ConfigMap with metadata of one's own choice."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def secret(name: str, value: str) -> dict[str, JsonValue]:
    metadata: JsonValue = {"name": name}
    return {
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"key": value},
    }  # fmt: skip


def deployment(name: str, replicas: int = 1, **annotations: str) -> dict[str, JsonValue]:
    container: JsonValue = {"name": "api", "image": "registry.invalid/api:1"}
    notes: JsonValue = {f"simulator.pilothouse.dev/{k}": v for k, v in annotations.items()}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": notes},
                "spec": {"containers": [container]},
            },
        },
    }


async def apply(
    cluster: ClusterClient,
    wanted: Bundle,
    *,
    fencing: int = 1,
    prune: bool = True,
    **options: Any,
) -> ApplyReport:
    return await cluster.apply(
        wanted,
        plan_digest=wanted.digest(),
        inventory=INVENTORY,
        fencing=fencing,
        operation=f"deployment-{fencing}",
        revision=REVISION,
        prune=prune,
        beat=options.pop("beat", lambda progress: None),
        content="sha256:" + "1" * 64,
        **options,
    )


async def plan(cluster: ClusterClient, wanted: Bundle, **options: Any) -> Plan:
    return await cluster.plan(wanted, revision=REVISION, inventory=INVENTORY, prune=True, **options)


def job(name: str, command: str = "migrate", **spec: JsonValue) -> dict[str, JsonValue]:
    container: JsonValue = {"name": "job", "image": "registry.invalid/job:1", "args": [command]}
    pod: JsonValue = {"restartPolicy": "Never", "containers": [container]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"template": {"spec": pod}, **spec},
    }


def annotated(body: dict[str, JsonValue], **annotations: str) -> dict[str, JsonValue]:
    """The object with annotations below `pilothouse.dev/`."""
    metadata = body["metadata"]
    assert isinstance(metadata, dict)
    notes: JsonValue = {f"pilothouse.dev/{key}": value for key, value in annotations.items()}
    return {**body, "metadata": {**metadata, "annotations": notes}}


class CountingTransport(Transport):
    """Remembers what was asked: `GET list`, `PATCH dry-run` and plain verbs, without discovery."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.calls: Counter[str] = Counter()

    async def send(self, method: str, path: str, **options: Any) -> Answer:
        """As the real one."""
        query = options.get("query") or {}
        kind = " dry-run" if "dryRun" in query else " list" if "limit" in query else ""
        if "/namespaces/" in path and not path.endswith(f"/configmaps/{INVENTORY}"):
            self.calls[method + kind] += 1
        return await super().send(method, path, **options)


def refs(wanted: Bundle) -> list[ObjectRef]:
    return [manifest.ref for manifest in wanted.manifests]


async def names(admin: client.ApiClient, namespace: str) -> set[str]:
    """The ConfigMaps of a namespace, without the cluster's own and the inventory."""
    found = await client.CoreV1Api(admin).list_namespaced_config_map(namespace)
    return {item.metadata.name for item in found.items} - {"kube-root-ca.crt", INVENTORY}

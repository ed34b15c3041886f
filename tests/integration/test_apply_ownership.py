"""Fields of other managers on a real API server: refused by name, or taken over."""

from kubernetes.aio import client

from pilothouse.clients.cluster import ClusterClient
from tests.integration.cluster_bundles import (
    INVENTORY,
    REVISION,
    apply,
    bundle,
    config_map,
)


async def test_another_managers_field_is_refused_by_name(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    await client.CoreV1Api(admin).create_namespaced_config_map(
        namespace, config_map("shared", key="theirs"), field_manager="their-operator"
    )
    wanted = bundle(namespace, config_map("shared", key="ours"))
    plan = await cluster.plan(wanted, revision=REVISION, inventory=INVENTORY, prune=True)
    assert plan.findings[0].path == "/data/key"
    assert "their-operator" in plan.findings[0].message
    report = await apply(cluster, wanted)
    assert not report.ok
    assert "their-operator" in report.problems[0].message
    live = await client.CoreV1Api(admin).read_namespaced_config_map("shared", namespace)
    assert live.data == {"key": "theirs"}


async def test_what_kubectl_applied_becomes_ours_even_where_git_says_nothing(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    core = client.CoreV1Api(admin)
    by_hand = config_map("shared", key="1", forgotten="2")
    manager = "kubectl-client-side-apply"
    await core.create_namespaced_config_map(namespace, by_hand, field_manager=manager)
    wanted = bundle(namespace, config_map("shared", key="3"))
    plan = await cluster.plan(wanted, revision=REVISION, inventory=INVENTORY, prune=True)
    assert "/metadata/managedFields" in plan.changes[0].fields
    assert (await apply(cluster, wanted)).counts == {"configured": 1}
    live = await core.read_namespaced_config_map("shared", namespace)
    assert live.data == {"key": "3"}
    assert (await apply(cluster, wanted)).counts == {"unchanged": 1}

"""Prune on a real API server: only what is ours, never from nothing, never unseen."""

from typing import Any

from kubernetes.aio import client

from pilothouse.clients.cluster import ClusterClient
from pilothouse.models.names import OWNER_LABEL
from tests.integration.cluster_bundles import (
    INVENTORY,
    REVISION,
    apply,
    bundle,
    config_map,
    names,
)


async def test_a_plan_without_prune_says_what_stays(cluster: ClusterClient, namespace: str) -> None:
    await apply(cluster, bundle(namespace, config_map("old")))
    after = bundle(namespace, config_map("new"))
    plan = await cluster.plan(after, revision=REVISION, inventory=INVENTORY, prune=False)
    assert plan.counts == {"create": 1}
    assert "1 objects left Git and stay" in plan.findings[0].message


async def test_prune_deletes_only_what_is_still_ours(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    core = client.CoreV1Api(admin)
    await core.create_namespaced_config_map(namespace, {"metadata": {"name": "strangers"}})
    everything = [config_map(n) for n in ("a", "taken", "kept", "stays")]
    await apply(cluster, bundle(namespace, *everything))
    taken: dict[str, Any] = {"metadata": {"labels": {OWNER_LABEL: "somebody-else"}}}
    await core.patch_namespaced_config_map("taken", namespace, taken)
    kept: dict[str, Any] = {"metadata": {"annotations": {"pilothouse.dev/prune": "disabled"}}}
    await core.patch_namespaced_config_map("kept", namespace, kept)
    report = await apply(cluster, bundle(namespace, config_map("stays")))
    assert report.ok
    assert report.counts == {"unchanged": 1, "deleted": 1, "kept": 2}
    assert await names(admin, namespace) == {"strangers", "taken", "kept", "stays"}
    inventory = await cluster.read_inventory(namespace, INVENTORY)
    assert inventory is not None
    assert {ref.name for ref in inventory.objects} == {"taken", "kept", "stays"}


async def test_a_delete_that_waits_for_a_finalizer_stays_in_the_inventory(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    stuck = config_map("stuck")
    stuck["metadata"] = {"name": "stuck", "finalizers": ["example.com/hold"]}
    await apply(cluster, bundle(namespace, stuck, config_map("a")))
    report = await apply(cluster, bundle(namespace, config_map("a")))
    assert [(p.object.name, p.result) for p in report.problems] == [("stuck", "kept")]
    assert "example.com/hold" in report.problems[0].message
    core = client.CoreV1Api(admin)
    free: dict[str, Any] = {"metadata": {"finalizers": None}}
    await core.patch_namespaced_config_map("stuck", namespace, free)
    assert (await apply(cluster, bundle(namespace, config_map("a")))).counts["deleted"] == 1
    inventory = await cluster.read_inventory(namespace, INVENTORY)
    assert inventory is not None
    assert [ref.name for ref in inventory.objects] == ["a"]


async def test_an_empty_bundle_deletes_nothing(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    await apply(cluster, bundle(namespace, config_map("a")))
    report = await apply(cluster, bundle(namespace))
    assert report.counts == {}
    assert await names(admin, namespace) == {"a"}
    inventory = await cluster.read_inventory(namespace, INVENTORY)
    assert inventory is not None
    assert [ref.name for ref in inventory.objects] == ["a"]

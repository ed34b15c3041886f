"""Scenarios in which other GitOps tools went wrong, by the numbers of our scenario list."""

import asyncio
from typing import Any

import pytest
from kubernetes.aio import client
from pydantic import JsonValue

from pilothouse.clients.cluster import ClusterClient
from pilothouse.gitops.inventory import vanishing
from pilothouse.gitops.manifests.order import apply_order
from pilothouse.models.errors import PermanentError
from tests.integration.cluster_bundles import (
    INVENTORY,
    annotated,
    apply,
    bundle,
    config_map,
    deployment,
    job,
    names,
    plan,
    refs,
)


async def test_s06_a_failed_prune_leaves_survivors_that_the_next_apply_deletes(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    core = client.CoreV1Api(admin)
    stuck = config_map("stuck")
    stuck["metadata"] = {"name": "stuck", "finalizers": ["example.com/hold"]}
    await apply(cluster, bundle(namespace, stuck, config_map("goes"), config_map("stays")))
    left = bundle(namespace, config_map("stays"))
    first = await apply(cluster, left)
    assert (first.ok, first.counts) == (True, {"unchanged": 1, "deleted": 1, "kept": 1})
    await apply(cluster, left)
    free: dict[str, Any] = {"metadata": {"finalizers": None}}
    await core.patch_namespaced_config_map("stuck", namespace, free)
    async with asyncio.timeout(20):
        while "stuck" in await names(admin, namespace):
            await asyncio.sleep(0.1)
    assert (await apply(cluster, left)).counts == {"unchanged": 1, "deleted": 1}
    stored = await cluster.read_inventory(namespace, INVENTORY)
    assert stored is not None
    assert [ref.name for ref in stored.objects] == ["stays"]


async def test_s07_nothing_is_pruned_from_an_empty_a_refused_or_a_surprisingly_small_source(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    everything = [config_map(f"m{n}") for n in range(12)]
    await apply(cluster, bundle(namespace, *everything))
    assert (await apply(cluster, bundle(namespace))).counts == {}
    refused = bundle(namespace, config_map("m0"), config_map("Not A Name"))
    assert not (await apply(cluster, refused)).ok
    few = bundle(namespace, config_map("m0"), config_map("new"))
    with pytest.raises(
        PermanentError, match="would delete 11 objects, and 10 are allowed"
    ) as caught:
        await apply(cluster, few, max_deletes=10)
    assert caught.value.type == "PruneBudget"
    assert await names(admin, namespace) == {f"m{n}" for n in range(12)}
    assert (await apply(cluster, few, max_deletes=11)).counts["deleted"] == 11


async def test_s08_a_job_that_its_ttl_removed_counts_as_done(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    once = job("migrate", ttlSecondsAfterFinished=3600)
    wanted = bundle(namespace, once, config_map("a"))
    assert (await apply(cluster, wanted)).counts == {"created": 2}
    batch = client.BatchV1Api(admin)
    await batch.delete_namespaced_job("migrate", namespace, propagation_policy="Background")
    assert (await plan(cluster, wanted)).counts == {"unchanged": 2}
    assert (await cluster.drift(wanted, inventory=INVENTORY)).clean
    health = await cluster.health(wanted, namespace, may_vanish=vanishing(wanted))
    assert health.healthy
    for _ in range(2):
        # Remembered by the next apply and by the one after it.
        assert (await apply(cluster, wanted)).counts == {"skipped": 1, "unchanged": 1}
    assert (await batch.list_namespaced_job(namespace)).items == []
    other = bundle(namespace, job("migrate", "v2", ttlSecondsAfterFinished=3600), config_map("a"))
    assert (await apply(cluster, other)).counts == {"created": 1, "unchanged": 1}


async def test_a_reference_that_neither_git_nor_the_cluster_has_is_an_error_of_the_plan(
    deployer: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    def using(kind: str, name: str) -> dict[str, JsonValue]:
        body = deployment("api", 0)
        spec = body["spec"]
        assert isinstance(spec, dict)
        source: JsonValue = {f"{kind}Ref": {"name": name}}
        container: JsonValue = {
            "name": "api",
            "image": "registry.invalid/api:1",
            "envFrom": [source],
        }
        template: JsonValue = {
            "metadata": {"labels": {"app": "api"}}, "spec": {"containers": [container]},
        }  # fmt: skip
        return {**body, "spec": {**spec, "template": template}}

    [finding] = (await plan(deployer, bundle(namespace, using("configMap", "nowhere")))).findings
    assert (finding.severity, "nowhere" in finding.message) == ("error", True)
    await client.CoreV1Api(admin).create_namespaced_config_map(namespace, config_map("nowhere"))
    assert (await plan(deployer, bundle(namespace, using("configMap", "nowhere")))).findings == ()
    # A Secret may not be looked at: validation has warned, and the plan says nothing new.
    assert (await plan(deployer, bundle(namespace, using("secret", "hidden")))).findings == ()


def wave(body: dict[str, JsonValue], number: int) -> dict[str, JsonValue]:
    return annotated(body, wave=str(number))


async def test_s15_a_dependency_that_is_ready_on_the_old_revision_only_holds_the_next_wave_back(
    deployer: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    first = bundle(namespace, wave(deployment("base"), 0), wave(config_map("after", v="1"), 1))
    assert (await apply(deployer, first, wave_timeout=60)).counts == {"created": 2}
    sick = wave(deployment("base", behavior="not-ready"), 0)
    second = bundle(namespace, sick, wave(config_map("after", v="2"), 1))
    report = await apply(deployer, second, wave_timeout=4)
    assert (report.ok, report.counts) == (False, {"configured": 1})
    assert "wave 0 is Progressing" in report.message
    assert "1 objects were not reached" in report.message
    # The old revision's pod still answers, and that is not enough.
    live = await client.AppsV1Api(admin).read_namespaced_deployment("base", namespace)
    assert live.status.available_replicas == 1
    after = await client.CoreV1Api(admin).read_namespaced_config_map("after", namespace)
    assert after.data == {"v": "1"}


async def test_s16_health_right_after_an_apply_is_not_the_old_revisions(
    deployer: ClusterClient, namespace: str
) -> None:
    good = bundle(namespace, deployment("api", 2))
    await apply(deployer, good)
    await deployer.wait_for_health(refs(good), namespace, timeout=60, beat=lambda progress: None)
    for behavior in ("not-ready", "crash-loop"):
        bad = bundle(namespace, deployment("api", 2, behavior=behavior))
        await apply(deployer, bad)
        assert not (await deployer.health(bad, namespace)).healthy


async def test_waves_are_applied_in_order_and_what_leaves_git_goes_in_reverse(
    deployer: ClusterClient, namespace: str
) -> None:
    bodies = [wave(config_map("late"), 2), wave(deployment("base"), -1), wave(config_map("mid"), 1)]
    unordered = bundle(namespace, *bodies, config_map("stays"))
    wanted = unordered.model_copy(update={"manifests": apply_order(unordered.manifests)})
    done: list[str] = []
    report = await apply(deployer, wanted, beat=done.append, wave_timeout=60)
    assert report.ok
    written = [line.split(":")[0].rpartition("/")[2] for line in done if line.endswith("created")]
    assert written == ["base", "stays", "mid", "late"]
    # The first wave was waited for, until it was well.
    assert any("everything is healthy" in line or "waiting for" in line for line in done)
    stored = await deployer.read_inventory(namespace, INVENTORY)
    assert stored is not None
    left = [ref.name for ref in stored.without(refs(bundle(namespace, config_map("x"))))]
    assert left == ["late", "mid", "stays", "base"]

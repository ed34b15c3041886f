"""Immutable fields on a real API server: refused with what would help, or made anew."""

import asyncio
from typing import Any

import pytest
from kubernetes.aio import client
from pydantic import JsonValue

from pilothouse.clients.cluster import ClusterClient
from tests.integration.cluster_bundles import annotated, apply, bundle, config_map, job, plan


def claim(size: str) -> dict[str, JsonValue]:
    requests: JsonValue = {"requests": {"storage": "1Gi"}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": [size], "resources": requests, "storageClassName": "none"},
    }


async def test_an_immutable_field_is_refused_with_the_field_and_with_what_would_allow_it(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    await apply(cluster, bundle(namespace, job("migrate")))
    wanted = bundle(namespace, job("migrate", "other"))
    [finding] = (await plan(cluster, wanted)).findings
    assert (finding.severity, finding.path) == ("error", "/spec/template")
    assert "pilothouse.dev/recreate: allowed" in finding.fix
    report = await apply(cluster, wanted)
    assert (report.ok, report.counts) == (False, {"refused": 1})


@pytest.mark.parametrize("by", ["environment", "annotation"])
async def test_where_it_is_allowed_the_object_is_made_anew(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str, by: str
) -> None:
    batch = client.BatchV1Api(admin)
    await apply(cluster, bundle(namespace, job("migrate")))
    before = await batch.read_namespaced_job("migrate", namespace)
    changed = job("migrate", "other")
    wanted = bundle(
        namespace, annotated(changed, recreate="allowed") if by != "environment" else changed
    )
    allowed = by == "environment"
    found = await plan(cluster, wanted, recreate=allowed)
    assert (found.counts, found.risks) == ({"recreate": 1}, {"recreate": 1})
    assert "/spec/template/spec/containers/0/args/0" in found.changes[0].fields
    report = await apply(cluster, wanted, recreate=allowed)
    assert (report.ok, report.counts) == (True, {"recreated": 1})
    after = await batch.read_namespaced_job("migrate", namespace)
    assert after.metadata.uid != before.metadata.uid
    assert after.spec.template.spec.containers[0].args == ["other"]


async def test_what_holds_data_is_never_made_anew_by_the_environments_word(
    cluster: ClusterClient, namespace: str
) -> None:
    await apply(cluster, bundle(namespace, claim("ReadWriteOnce")))
    wanted = bundle(namespace, claim("ReadWriteMany"))
    found = await plan(cluster, wanted, recreate=True)
    assert [finding.severity for finding in found.findings] == ["error"]
    assert not (await apply(cluster, wanted, recreate=True)).ok


async def test_what_could_not_be_created_again_is_not_deleted(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    await apply(cluster, bundle(namespace, job("migrate")))
    quota: dict[str, Any] = {"metadata": {"name": "q"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    await client.CoreV1Api(admin).create_namespaced_resource_quota(namespace, quota)
    async with asyncio.timeout(20):
        while "exceeded quota" not in str(
            (await plan(cluster, bundle(namespace, job("x")))).findings
        ):
            await asyncio.sleep(0.2)
    report = await apply(cluster, bundle(namespace, job("migrate", "other")), recreate=True)
    assert (report.ok, report.counts) == (False, {"refused": 1})
    assert await client.BatchV1Api(admin).read_namespaced_job("migrate", namespace)


async def test_an_apply_that_died_between_delete_and_create_is_mended_by_the_next(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    await apply(cluster, bundle(namespace, job("migrate"), config_map("a")))
    stuck: dict[str, Any] = {"metadata": {"finalizers": ["example.com/hold"]}}
    batch = client.BatchV1Api(admin)
    await batch.patch_namespaced_job("migrate", namespace, stuck)
    wanted = bundle(namespace, job("migrate", "other"), config_map("a"))
    deleting = asyncio.Event()

    def beat(progress: str) -> None:
        if "deleting it to make it anew" in progress:
            deleting.set()

    task = asyncio.create_task(apply(cluster, wanted, recreate=True, beat=beat))
    await asyncio.wait_for(deleting.wait(), 20)
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await batch.patch_namespaced_job("migrate", namespace, {"metadata": {"finalizers": None}})
    async with asyncio.timeout(20):
        while (await batch.list_namespaced_job(namespace)).items:
            await asyncio.sleep(0.1)
    report = await apply(cluster, wanted, recreate=True)
    assert (report.ok, report.counts) == (True, {"created": 1, "unchanged": 1})

"""The inventory on a real API server: fencing, records, cancelled applies."""

import asyncio

import pytest
from kubernetes.aio import client

from pilothouse.clients.cluster import ClusterClient
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.objects import ApplyReport
from tests.integration.cluster_bundles import (
    INVENTORY,
    REVISION,
    apply,
    bundle,
    config_map,
    names,
)


async def test_an_older_writer_is_fenced_off(cluster: ClusterClient, namespace: str) -> None:
    await apply(cluster, bundle(namespace, config_map("new")), fencing=7)
    with pytest.raises(PermanentError, match="deployment-7, number 7") as caught:
        await apply(cluster, bundle(namespace, config_map("old")), fencing=6)
    assert caught.value.type == "Fenced"


async def test_of_several_writers_at_once_the_highest_number_remains(
    cluster: ClusterClient, namespace: str
) -> None:
    writers = [apply(cluster, bundle(namespace, config_map(f"m{n}")), fencing=n) for n in range(6)]
    results = await asyncio.gather(*writers, return_exceptions=True)
    assert isinstance(results[5], ApplyReport)
    for result in results:
        assert isinstance(result, ApplyReport | PermanentError | TemporaryError)
    inventory = await cluster.read_inventory(namespace, INVENTORY)
    assert inventory is not None
    assert (inventory.fencing, inventory.operation) == (5, "deployment-5")
    # Whatever an overtaken writer had made is known, or was pruned: nothing leaks.
    assert "m5" in {ref.name for ref in inventory.objects}


async def test_the_inventory_tells_what_is_deployed(cluster: ClusterClient, namespace: str) -> None:
    assert await cluster.read_inventory(namespace, INVENTORY) is None
    wanted = bundle(namespace, config_map("a"))
    await apply(cluster, wanted, fencing=3)
    inventory = await cluster.read_inventory(namespace, INVENTORY)
    assert inventory is not None
    assert inventory.model_dump(exclude={"objects"}) == {
        "environment": "staging",
        "fencing": 3,
        "operation": "deployment-3",
        "revision": REVISION,
        "plan": wanted.digest(),
        "bundle": "sha256:" + "1" * 64,
        "complete": True,
        "runs": (),
    }


async def test_a_config_map_that_is_not_ours_never_becomes_the_inventory(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    core = client.CoreV1Api(admin)
    await core.create_namespaced_config_map(namespace, {"metadata": {"name": INVENTORY}})
    with pytest.raises(PermanentError, match="not ours"):
        await apply(cluster, bundle(namespace, config_map("a")))
    with pytest.raises(PermanentError, match="give it another name"):
        await apply(cluster, bundle(namespace, config_map(INVENTORY)))


async def test_a_cancelled_apply_leaves_nothing_behind_that_is_not_known(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    wanted = bundle(namespace, *(config_map(f"m{n}") for n in range(60)))
    some = asyncio.Event()

    def beat(progress: str) -> None:
        if "created" in progress:
            some.set()

    task = asyncio.create_task(
        cluster.apply(
            wanted,
            plan_digest=wanted.digest(),
            inventory=INVENTORY,
            fencing=1,
            operation="o",
            revision=REVISION,
            prune=True,
            beat=beat,
        )
    )
    await asyncio.wait_for(some.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    inventory = await cluster.read_inventory(namespace, INVENTORY)
    assert inventory is not None
    assert not inventory.complete
    assert await names(admin, namespace) <= {ref.name for ref in inventory.objects}
    report = await apply(cluster, bundle(namespace, config_map("m0")), fencing=2)
    assert report.ok
    assert await names(admin, namespace) == {"m0"}

"""Two deployers on a real API server: the one that lost stops, and what it wrote is known."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import client

from pilothouse.clients.cluster import ClusterClient
from pilothouse.clients.cluster.answers import Answer
from pilothouse.clients.cluster.applying.inventories import FENCE_SECONDS
from pilothouse.clients.cluster.transport import Transport
from pilothouse.models.errors import PermanentError
from tests.integration.cluster_bundles import INVENTORY, apply, bundle, config_map, names


class SlowTransport(Transport):
    """Each real write of an object takes a while, and is written down with its time."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.writes: list[tuple[float, str]] = []
        self.pause = 0.0

    async def send(self, method: str, path: str, **options: Any) -> Answer:
        """As the real one, but slow."""
        is_write = method in {"PATCH", "DELETE"} and "dryRun" not in (options.get("query") or {})
        if is_write:
            self.writes.append((asyncio.get_running_loop().time(), path))
        answer = await super().send(method, path, **options)
        if is_write:
            await asyncio.sleep(self.pause)
        return answer


async def test_the_fenced_loser_begins_no_write_after_the_winners_first(
    admin_kubeconfig: Path, admin: client.ApiClient, namespace: str
) -> None:
    slow = await SlowTransport.connect(admin_kubeconfig, None)
    slow.pause = 0.4
    quick = await SlowTransport.connect(admin_kubeconfig, None)
    async with ClusterClient(slow) as loser, ClusterClient(quick) as winner:
        many = bundle(namespace, *(config_map(f"m{n:03d}") for n in range(400)))
        begun = asyncio.Event()

        def beat(progress: str) -> None:
            if "created" in progress:
                begun.set()

        task = asyncio.create_task(apply(loser, many, fencing=1, beat=beat))
        await asyncio.wait_for(begun.wait(), 30)
        report = await apply(winner, bundle(namespace, config_map("mine")), fencing=2)
        with pytest.raises(
            PermanentError, match="deployment-2, number 2.*; so far: .* created"
        ) as e:
            await asyncio.wait_for(task, 30)
        assert e.value.type == "Fenced"
        assert report.ok
        first = min(when for when, _ in quick.writes)
        assert max(when for when, _ in slow.writes) < first
        assert 0 < len(slow.writes) < 400
        # What the loser wrote was known, and is pruned: nothing of it is left.
        assert await names(admin, namespace) == {"mine"}
        assert not [path for _, path in slow.writes if path.endswith(INVENTORY)]


async def test_the_winner_of_nobody_waits_for_nobody(
    cluster: ClusterClient, namespace: str
) -> None:
    await apply(cluster, bundle(namespace, config_map("a")), fencing=1)
    started = asyncio.get_running_loop().time()
    await apply(cluster, bundle(namespace, config_map("a")), fencing=2)
    assert asyncio.get_running_loop().time() - started < FENCE_SECONDS

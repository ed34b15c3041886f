"""Health of live objects: rollouts that work, that fail for good, that take too long."""

import pytest

from pilothouse.clients.cluster import ClusterClient
from tests.integration.cluster_bundles import (
    apply,
    bundle,
    config_map,
    deployment,
    refs,
)


async def test_a_rollout_is_healthy_when_it_stays_so(
    deployer: ClusterClient, namespace: str
) -> None:
    wanted = bundle(namespace, config_map("a"), deployment("api", 2))
    await apply(deployer, wanted)
    beats: list[str] = []
    health = await deployer.wait_for_health(refs(wanted), namespace, timeout=60, beat=beats.append)
    assert (health.status, health.objects, health.diagnoses) == ("Healthy", 2, ())
    assert beats
    again = await deployer.wait_for_health(refs(wanted), namespace, timeout=60, beat=beats.append)
    # Healthy at the first look already; one look is never enough.
    assert 1.0 <= again.seconds < 10


@pytest.mark.parametrize(
    ("behavior", "cause", "words"),
    [
        ("crash-loop", "crash_loop", "keeps crashing with exit code 1"),
        ("image-pull", "image_pull", "cannot pull registry.invalid/api:1"),
        ("oom", "out_of_memory", "ran out of memory"),
    ],
)
async def test_a_rollout_that_cannot_succeed_ends_the_wait_early_with_its_cause(
    deployer: ClusterClient, namespace: str, behavior: str, cause: str, words: str
) -> None:
    good = bundle(namespace, deployment("api", 2))
    await apply(deployer, good)
    await deployer.wait_for_health(refs(good), namespace, timeout=60, beat=lambda progress: None)
    log = "loading weights\nRuntimeError: weights.bin is missing"
    bad = bundle(namespace, deployment("api", 2, behavior=behavior, log=log))
    await apply(deployer, bad)
    health = await deployer.wait_for_health(
        refs(bad), namespace, timeout=120, beat=lambda progress: None
    )
    assert not health.healthy
    assert health.seconds < 60
    (diagnosis,) = health.diagnoses
    assert (diagnosis.cause, diagnosis.final) == (cause, True)
    assert words in diagnosis.summary
    assert diagnosis.evidence
    if behavior == "crash-loop":
        quoted = [item.text for item in diagnosis.evidence if item.kind == "log"]
        assert quoted[0] == "RuntimeError: weights.bin is missing"


async def test_what_is_not_ready_in_time_is_reported_with_what_it_waits_for(
    deployer: ClusterClient, namespace: str
) -> None:
    wanted = bundle(namespace, deployment("api", 1, behavior="not-ready"))
    await apply(deployer, wanted)
    health = await deployer.wait_for_health(
        refs(wanted), namespace, timeout=6, beat=lambda progress: None
    )
    assert [str(waiting.object) for waiting in health.waiting_for] == [
        f"Deployment/{namespace}/api"
    ]
    assert health.diagnoses[0].cause == "not_ready"
    assert not health.diagnoses[0].final
    assert 5 < health.seconds < 20


async def test_an_object_that_is_gone_is_missing(deployer: ClusterClient, namespace: str) -> None:
    gone = bundle(namespace, config_map("never"))
    health = await deployer.health(gone, namespace)
    assert health.status == "Missing"
    assert [found.cause for found in await deployer.diagnose(refs(gone), namespace)] == [
        "missing_object"
    ]

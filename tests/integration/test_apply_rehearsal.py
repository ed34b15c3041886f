"""What an apply asks the API server: a few lists, and once about each object that differs."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kubernetes.aio import client
from pydantic import JsonValue, TypeAdapter

from pilothouse.clients.cluster import ClusterClient
from pilothouse.gitops.health.fields import text
from pilothouse.gitops.managed_fields import is_settled
from pilothouse.gitops.plan import changed_fields
from pilothouse.models.objects import Bundle
from pilothouse.models.rehearsal import Rehearsal
from tests.integration.cluster_bundles import (
    INVENTORY,
    REVISION,
    CountingTransport,
    apply,
    bundle,
    config_map,
    deployment,
)


@pytest.fixture
async def transport(admin_kubeconfig: Path) -> AsyncIterator[CountingTransport]:
    connected = await CountingTransport.connect(admin_kubeconfig, None)
    yield connected
    await connected.close()


async def rehearse(cluster: ClusterClient, wanted: Bundle) -> Rehearsal:
    found = await cluster.rehearse(wanted, revision=REVISION, inventory=INVENTORY, prune=True)
    assert found.plan.findings == ()
    return found.rehearsal


def many(namespace: str, value: str) -> Bundle:
    maps = [config_map(f"m{n}", k=value) for n in range(20)]
    return bundle(namespace, *maps, *(deployment(f"d{n}", 0) for n in range(5)))


async def test_among_many_strangers_only_our_own_objects_are_listed(
    transport: CountingTransport,
    admin: client.ApiClient,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pilothouse.clients.cluster.transport.PAGE", 2)
    cluster = ClusterClient(transport)
    ours = bundle(namespace, *(config_map(f"m{n}", k="1") for n in range(3)))
    await apply(cluster, ours)
    transport.calls.clear()
    assert (await apply(cluster, ours)).counts == {"unchanged": 3}
    whole = transport.calls["GET list"]
    for n in range(16):
        body = {"metadata": {"name": f"stranger-{n}"}}
        await client.CoreV1Api(admin).create_namespaced_config_map(namespace, body)
    transport.calls.clear()
    assert (await apply(cluster, ours)).counts == {"unchanged": 3}
    # One page shows how many strangers there are; then ours alone, two at a time.
    assert transport.calls["GET list"] == 3 <= whole + 1


async def test_a_no_op_costs_a_few_lists_and_not_a_call_an_object(
    transport: CountingTransport, namespace: str
) -> None:
    cluster = ClusterClient(transport)
    wanted = many(namespace, "1")
    await apply(cluster, wanted)
    transport.calls.clear()
    assert (await apply(cluster, wanted)).counts == {"unchanged": 25}
    assert transport.calls == {"GET list": 2}
    transport.calls.clear()
    assert (await cluster.drift(wanted, inventory=INVENTORY)).clean
    assert transport.calls == {"GET list": 2}


async def test_plan_and_apply_together_rehearse_and_write_each_changed_object_once(
    transport: CountingTransport, namespace: str
) -> None:
    cluster = ClusterClient(transport)
    for value, lists in (("1", 4), ("2", 4)):
        wanted = many(namespace, value)
        transport.calls.clear()
        met = await rehearse(cluster, wanted)
        report = await apply(cluster, wanted, rehearsal=met)
        assert report.ok
        changed = report.counts.get("created", 0) + report.counts.get("configured", 0)
        assert transport.calls["PATCH dry-run"] == transport.calls["PATCH"] == changed
        assert transport.calls["GET list"] == lists


async def test_what_moved_after_the_rehearsal_is_rehearsed_again_before_anything_is_written(
    transport: CountingTransport, admin: client.ApiClient, namespace: str
) -> None:
    cluster = ClusterClient(transport)
    maps = [config_map(f"m{n}", k="1") for n in range(4)]
    await apply(cluster, bundle(namespace, *maps))
    wanted = bundle(namespace, *(config_map(f"m{n}", k="2") for n in range(4)))
    met = await rehearse(cluster, wanted)
    core = client.CoreV1Api(admin)
    theirs = config_map("m2", k="theirs")
    await core.replace_namespaced_config_map("m2", namespace, theirs, field_manager="operator")
    await core.delete_namespaced_config_map("m3", namespace)
    transport.calls.clear()
    report = await apply(cluster, wanted, rehearsal=met)
    assert (report.ok, transport.calls["PATCH dry-run"], transport.calls["PATCH"]) == (False, 2, 0)
    assert "operator" in report.problems[0].message


async def test_a_rehearsal_that_is_old_or_of_another_bundle_counts_for_nothing(
    transport: CountingTransport, namespace: str
) -> None:
    cluster = ClusterClient(transport)
    wanted = bundle(namespace, *(config_map(f"m{n}") for n in range(3)))
    met = await rehearse(cluster, wanted)
    old = met.model_copy(update={"made": met.made - timedelta(minutes=11)})
    transport.calls.clear()
    assert (await apply(cluster, wanted, rehearsal=old)).ok
    assert transport.calls["PATCH dry-run"] == 3
    other = bundle(namespace, *(config_map(f"m{n}", k="v") for n in range(3)))
    transport.calls.clear()
    assert (await apply(cluster, other, rehearsal=met)).ok
    assert transport.calls["PATCH dry-run"] == 3


JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)
VERSION = ("metadata", "resourceVersion")
PORTS = st.lists(
    st.fixed_dictionaries(
        {"containerPort": st.sampled_from([80, 81])},
        optional={"protocol": st.sampled_from(["TCP", "UDP"])},
    ),
    max_size=2,
    unique_by=lambda port: str(port["containerPort"]),
)
CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["a", "b"]), "image": st.sampled_from(["i:1", "i:2"])},
        optional={
            "args": st.lists(st.sampled_from(["x", "y"]), max_size=2),
            "env": st.lists(
                st.fixed_dictionaries(
                    {"name": st.sampled_from(["E", "F"])},
                    optional={"value": st.sampled_from(["", "1"])},
                ),
                max_size=2,
                unique_by=lambda variable: str(variable["name"]),
            ),
            "ports": PORTS,
            "resources": st.sampled_from([
                {},
                {"limits": {"cpu": "1000m"}},
                {"limits": {"cpu": "1"}},
            ]),
        },
    ),
    min_size=1,
    max_size=2,
    unique_by=lambda container: str(container["name"]),
)


SELECTORS: list[dict[str, str]] = [{}, {"zone": "a"}, {"zone": "b", "x": "y"}]


@st.composite
def deployments(draw: st.DrawFn) -> dict[str, JsonValue]:
    body = deployment("api", 0)
    spec = body["spec"]
    assert isinstance(spec, dict)
    template = spec["template"]
    assert isinstance(template, dict)
    pod = {"containers": draw(CONTAINERS), "nodeSelector": draw(st.sampled_from(SELECTORS))}
    new = {**spec, "template": {**template, "spec": pod}}
    if draw(st.booleans()):
        new.pop("replicas")
    return {**body, "spec": JSON.validate_python(new)}


async def test_what_is_called_settled_is_unchanged_by_the_servers_own_word(
    admin_kubeconfig: Path, namespace: str
) -> None:
    """Two random forms of one object, one after the other: we are never kinder than the server."""
    transport = await CountingTransport.connect(admin_kubeconfig, None)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/api"

    async def patch(body: dict[str, JsonValue], *, dry_run: bool) -> dict[str, JsonValue]:
        query = {"fieldManager": "pilothouse", "force": "true"}
        query |= {"dryRun": "All"} if dry_run else {}
        return await transport.json(
            "PATCH", path, query=query, body=body, content_type="application/apply-patch+yaml"
        )

    seen = Counter[bool]()
    samples: list[tuple[dict[str, JsonValue], dict[str, JsonValue]]] = []

    @settings(
        max_examples=60, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(deployments(), deployments(), st.booleans())
    def collect(before: dict[str, JsonValue], after: dict[str, JsonValue], same: bool) -> None:
        samples.append((before, before if same else after))

    collect()
    try:
        for before, after in samples:
            await patch(before, dry_run=False)
            live, answer = await transport.json("GET", path), await patch(after, dry_run=True)
            while text(live, *VERSION) != text(answer, *VERSION):
                # The Deployment's controller wrote in between.
                live, answer = await transport.json("GET", path), await patch(after, dry_run=True)
            settled = is_settled(after, live)
            seen[settled] += 1
            assert not settled or changed_fields(live, answer) == []
            if "1000m" not in str(before):
                # It must be worth something, too: the very same object needs no question.
                assert is_settled(before, live)
    finally:
        await transport.close()
    assert seen[True] > 10
    assert seen[False] > 10

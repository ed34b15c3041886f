"""The cluster client against a real API server: plan, apply, drift."""

import pytest
from kubernetes.aio import client
from pydantic import JsonValue

from pilothouse.clients.cluster import ClusterClient
from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import ObjectRef
from tests.integration.cluster_bundles import (
    INVENTORY,
    REVISION,
    apply,
    bundle,
    config_map,
    deployment,
    names,
    placed,
    secret,
)


async def test_a_plan_says_what_an_apply_would_do_and_writes_nothing(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    await apply(cluster, bundle(namespace, config_map("same", a="1"), deployment("api", 0)))
    after = bundle(namespace, config_map("new"), deployment("api", 2))
    plan = await cluster.plan(after, revision=REVISION, inventory=INVENTORY, prune=True)
    assert plan.counts == {"create": 1, "change": 1, "delete": 1}
    assert [(c.action, c.object.name, c.fields) for c in plan.changes] == [
        ("create", "new", ()),
        ("change", "api", ("/spec/replicas",)),
        ("delete", "same", ()),
    ]
    assert (plan.digest, plan.findings) == (after.digest(), ())
    assert await names(admin, namespace) == {"same"}


async def test_everything_the_server_refuses_is_found_at_once_with_its_place(
    cluster: ClusterClient, namespace: str
) -> None:
    mistyped = deployment("api")
    mistyped["spec"] = {**deployment("api")["spec"], "replcas": 2}  # type: ignore[dict-item]  # a typo on purpose
    wanted = bundle(
        namespace,
        config_map("fine"),
        mistyped,
        placed(name="No Such Name"),
        {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}},
        placed(name="a", namespace="no-such-namespace"),
    )
    plan = await cluster.plan(wanted, revision=REVISION, inventory=INVENTORY, prune=True)
    found = {(f.file, f.line, f.severity): f for f in plan.findings}
    assert sorted(found) == [(f"k8s/{line}.yaml", line, "error") for line in (2, 3, 4, 5)]
    assert found["k8s/2.yaml", 2, "error"].path == "/spec/replcas"
    assert found["k8s/3.yaml", 3, "error"].path == "/metadata/name"
    assert "no kind Widget" in found["k8s/4.yaml", 4, "error"].message
    assert "no-such-namespace" in found["k8s/5.yaml", 5, "error"].message
    assert plan.counts == {"create": 1}


async def test_applying_the_same_bundle_again_writes_nothing_at_all(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    wanted = bundle(namespace, config_map("a", k="v"), deployment("api", 0), secret("s", "x"))
    first = await apply(cluster, wanted)
    assert (first.ok, first.counts) == (True, {"created": 3})
    core = client.CoreV1Api(admin)

    async def versions() -> dict[str, str]:
        maps = await core.list_namespaced_config_map(namespace)
        secrets = await core.list_namespaced_secret(namespace)
        return {i.metadata.name: i.metadata.resource_version for i in [*maps.items, *secrets.items]}

    before = await versions()
    second = await apply(cluster, wanted)
    assert (second.ok, second.counts) == (True, {"unchanged": 3})
    assert await versions() == before


async def test_an_apply_of_another_bundle_than_the_approved_one_is_refused(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    with pytest.raises(PermanentError, match="was approved") as caught:
        await cluster.apply(
            bundle(namespace, config_map("evil")),
            plan_digest=bundle(namespace, config_map("good")).digest(),
            inventory=INVENTORY,
            fencing=1,
            operation="o",
            revision=REVISION,
            prune=True,
            beat=lambda progress: None,
        )
    assert caught.value.type == "DigestMismatch"
    assert await names(admin, namespace) == set()


async def test_a_stage_is_applied_whole_or_not_at_all(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    await apply(cluster, bundle(namespace, config_map("old")))
    broken = placed(name="Not A Name")
    report = await apply(cluster, bundle(namespace, config_map("a"), broken))
    assert not report.ok
    assert [(p.object.name, p.result) for p in report.problems] == [("Not A Name", "refused")]
    # Neither applied nor pruned.
    assert await names(admin, namespace) == {"old"}


async def test_kinds_and_namespaces_of_the_same_bundle_come_before_what_needs_them(
    cluster: ClusterClient, namespace: str
) -> None:
    group = f"{namespace}.example.com"
    schema: JsonValue = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    names_: JsonValue = {"plural": "widgets", "kind": "Widget"}
    version: JsonValue = {
        "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema},
    }  # fmt: skip
    spec: JsonValue = {
        "group": group, "scope": "Namespaced", "names": names_, "versions": [version],
    }  # fmt: skip
    definition: dict[str, JsonValue] = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": spec,
    }
    wanted = bundle(
        namespace,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{namespace}-b"}},
        definition,
        {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}},
        placed(name="inside", namespace=f"{namespace}-b"),
    )
    plan = await cluster.plan(wanted, revision=REVISION, inventory=INVENTORY, prune=True)
    assert plan.counts == {"create": 4}
    assert {(f.severity, f.line) for f in plan.findings} == {("info", 3), ("info", 4)}
    report = await apply(cluster, wanted)
    assert (report.ok, report.counts) == (True, {"created": 4}), report
    everything_goes = await apply(cluster, bundle(namespace, config_map("only")), fencing=2)
    assert everything_goes.ok
    assert everything_goes.counts["deleted"] >= 2


async def test_git_may_bring_the_environments_own_namespace_and_its_leaving_git_deletes_nothing(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    own = f"{namespace}-own"
    metadata: JsonValue = {"name": own}
    space: dict[str, JsonValue] = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    wanted = bundle(own, space, config_map("settings", a="1"), config_map("other"))

    plan = await cluster.plan(wanted, revision=REVISION, inventory=INVENTORY, prune=True)
    assert plan.counts == {"create": 3}
    [note] = plan.findings
    assert note.message.endswith("only then (and so for 1 other objects)")
    first = await apply(cluster, wanted)
    assert (first.ok, first.problems) == (True, ())
    stored = await cluster.read_inventory(own, INVENTORY)
    assert stored is not None
    assert [ref.name for ref in stored.objects] == [own, "settings", "other"]

    left = await apply(cluster, bundle(own, config_map("settings", a="1")), fencing=2)
    assert left.counts == {"unchanged": 1, "deleted": 1, "kept": 1}
    assert left.problems[0].message.startswith("it is the environment's own")
    live = await client.CoreV1Api(admin).read_namespace(own)
    assert live.metadata.deletion_timestamp is None
    await client.CoreV1Api(admin).delete_namespace(own)


async def test_drift_shows_what_was_changed_and_what_is_gone(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    wanted = bundle(namespace, config_map("a", k="1"), config_map("b"), config_map("c", k="1"))
    await apply(cluster, wanted)
    assert (await cluster.drift(wanted, inventory=INVENTORY)).clean
    core = client.CoreV1Api(admin)
    await core.patch_namespaced_config_map("a", namespace, {"data": {"k": "2"}})
    await core.delete_namespaced_config_map("b", namespace)
    drift = await cluster.drift(wanted, inventory=INVENTORY)
    assert [ref.name for ref in drift.drifted] == ["a"]
    assert [ref.name for ref in drift.missing] == ["b"]


async def test_the_deployer_writes_secrets_without_ever_reading_one(
    deployer: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    wanted = bundle(namespace, secret("db", "hunter2"))
    assert (await apply(deployer, wanted)).counts == {"created": 1}
    assert (await apply(deployer, wanted)).counts == {"unchanged": 1}
    plan = await deployer.plan(wanted, revision=REVISION, inventory=INVENTORY, prune=True)
    assert (plan.counts, plan.changes[0].fields) == ({"change": 1}, ())
    assert "may not be read" in plan.findings[0].message
    changed = await apply(deployer, bundle(namespace, secret("db", "hunter3")))
    assert changed.counts == {"configured": 1}
    ref = ObjectRef(api_version="v1", kind="Secret", namespace=namespace, name="db")
    assert await deployer.exists(ref) is None
    drift = await deployer.drift(wanted, inventory=INVENTORY)
    assert (drift.clean, [r.name for r in drift.unreadable]) == (True, ["db"])
    health = await deployer.health([ref], namespace)
    assert health.healthy


async def test_what_the_deployer_may_not_do_names_verb_resource_namespace_and_user(
    deployer: ClusterClient, namespace: str
) -> None:
    role: dict[str, JsonValue] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "more"},
        "rules": [],
    }
    plan = await deployer.plan(
        bundle(namespace, role, config_map("a")),
        revision=REVISION,
        inventory=INVENTORY,
        prune=True,
    )
    assert plan.counts == {"create": 1}
    for word in ("cannot patch", '"roles"', namespace, "pilothouse-deployer"):
        assert word in plan.findings[0].message
    with pytest.raises(PermanentError, match="cannot get resource") as caught:
        await deployer.read_inventory("default", INVENTORY)
    assert caught.value.type == "ClusterRefused"

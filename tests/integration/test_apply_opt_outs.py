"""What objects say about themselves: left alone, created once, taken by force, kept."""

from typing import Any

import pytest
from kubernetes.aio import client
from pydantic import JsonValue

from pilothouse.clients.cluster import ClusterClient
from pilothouse.models.pipeline import IgnoreRule
from tests.integration.cluster_bundles import (
    INVENTORY,
    annotated,
    apply,
    bundle,
    config_map,
    names,
    plan,
    secret,
)


async def test_an_object_that_is_disabled_is_neither_planned_nor_applied_nor_pruned(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    await apply(cluster, bundle(namespace, config_map("a", k="1"), config_map("b", k="1")))
    left_alone = annotated(config_map("a", k="2"), apply="disabled")
    wanted = bundle(namespace, left_alone, config_map("b", k="1"))
    found = await plan(cluster, wanted)
    assert (found.counts, found.changes) == ({"unchanged": 2}, ())
    assert "leaves it alone" in found.findings[0].message
    report = await apply(cluster, wanted)
    assert report.counts == {"skipped": 1, "unchanged": 1}
    assert await names(admin, namespace) == {"a", "b"}
    stored = await cluster.read_inventory(namespace, INVENTORY)
    assert stored is not None
    # It is still ours: when it leaves Git, it goes.
    assert {ref.name for ref in stored.objects} == {"a", "b"}
    assert (await apply(cluster, bundle(namespace, config_map("b", k="1")))).counts["deleted"] == 1


async def test_what_is_wanted_if_absent_is_created_once_and_never_changed(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    def once(value: str) -> dict[str, JsonValue]:
        return annotated(config_map("seed", k=value), apply="if-absent")

    assert (await apply(cluster, bundle(namespace, once("1")))).counts == {"created": 1}
    assert (await apply(cluster, bundle(namespace, once("2")))).counts == {"skipped": 1}
    live = await client.CoreV1Api(admin).read_namespaced_config_map("seed", namespace)
    assert live.data == {"k": "1"}


async def test_a_secret_that_may_not_be_read_is_not_changed_where_it_is_wanted_if_absent(
    deployer: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    first = annotated(secret("db", "first"), apply="if-absent")
    assert (await apply(deployer, bundle(namespace, first))).counts == {"created": 1}
    again = annotated(secret("db", "second"), apply="if-absent")
    assert (await apply(deployer, bundle(namespace, again))).counts == {"skipped": 1}


async def test_a_conflict_is_named_field_by_field_and_taken_only_where_the_object_says_so(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    theirs = config_map("shared", a="theirs", b="theirs", c="theirs")
    core = client.CoreV1Api(admin)
    await core.create_namespaced_config_map(namespace, theirs, field_manager="their-operator")
    ours = config_map("shared", a="ours", b="ours")
    [finding] = (await plan(cluster, bundle(namespace, ours))).findings
    assert ".data.a belongs to their-operator; .data.b belongs to their-operator" in finding.message
    assert "pilothouse.dev/conflicts: force" in finding.fix
    wanted = bundle(namespace, annotated(ours, conflicts="force"))
    found = await plan(cluster, wanted)
    assert found.counts == {"change": 1}
    assert "takeover" in found.risks
    assert (await apply(cluster, wanted)).counts == {"configured": 1}
    live = await core.read_namespaced_config_map("shared", namespace)
    assert live.data == {"a": "ours", "b": "ours", "c": "theirs"}
    assert (await apply(cluster, wanted)).counts == {"unchanged": 1}


async def test_what_anybody_overwrote_is_put_back_where_the_environment_says_so(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    core = client.CoreV1Api(admin)
    refusing = annotated(config_map("theirs", k="1"), conflicts="refuse")
    wanted = bundle(namespace, config_map("ours", k="1"), refusing)
    await apply(cluster, wanted)
    for name in ("ours", "theirs"):
        edit: dict[str, Any] = {"data": {"k": "2"}}
        await core.patch_namespaced_config_map(name, namespace, edit, field_manager="somebody")
    assert len((await plan(cluster, wanted)).findings) == 2
    [refused] = (await plan(cluster, wanted, take_back=True)).findings
    assert ".data.k belongs to somebody" in refused.message
    assert refused.object.endswith("theirs")
    assert not (await apply(cluster, wanted, take_back=True)).ok
    mine = bundle(namespace, config_map("ours", k="1"))
    assert (await apply(cluster, mine, take_back=True, prune=False)).counts == {"configured": 1}
    assert (await core.read_namespaced_config_map("ours", namespace)).data == {"k": "1"}


async def test_what_somebody_edited_with_kubectl_goes_when_git_does_not_have_it(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    core = client.CoreV1Api(admin)
    wanted = bundle(namespace, config_map("a", k="1"), config_map("b", k="1"))
    await apply(cluster, wanted)
    edit: dict[str, Any] = {"data": {"k": "2", "extra": "3"}}
    await core.patch_namespaced_config_map("a", namespace, edit, field_manager="kubectl-edit")
    found = await plan(cluster, wanted)
    assert found.counts == {"change": 1, "unchanged": 1}
    assert {"/data/k", "/data/extra"} <= set(found.changes[0].fields)
    assert "takeover" in found.risks
    drift = await cluster.drift(wanted, inventory=INVENTORY)
    assert [ref.name for ref in drift.drifted] == ["a"]
    assert "/data/extra" in drift.fields[str(drift.drifted[0])]
    assert (await apply(cluster, wanted)).counts == {"configured": 1, "unchanged": 1}
    assert (await core.read_namespaced_config_map("a", namespace)).data == {"k": "1"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (annotated(config_map("a"), apply="if_absent"), "always, if-absent, disabled"),
        (annotated(config_map("a"), prune="no"), "enabled, disabled"),
        (annotated(config_map("a"), wave="first"), "a whole number"),
        ({**secret("a", "x"), "sops": {"version": "3"}}, "decrypt it"),
        (secret("a", "ENC[AES256_GCM,data:xyz]"), "decrypt it"),
    ],
)
async def test_what_means_nothing_or_is_still_encrypted_is_refused(
    cluster: ClusterClient, namespace: str, body: dict[str, JsonValue], words: str
) -> None:
    report = await apply(cluster, bundle(namespace, body, config_map("b")))
    assert (report.ok, report.counts) == (False, {"refused": 1})
    [finding] = (await plan(cluster, bundle(namespace, body))).findings
    assert (finding.severity, words in finding.fix) == ("error", True)
    assert "ENC[" not in finding.message


async def test_ignored_fields_stay_as_somebody_else_set_them(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    rules = (IgnoreRule(kind="ConfigMap", pointers=("/data/tuned",)),)
    wanted = bundle(namespace, config_map("a", k="1", tuned="git"))
    await apply(cluster, wanted, ignore=rules)
    core = client.CoreV1Api(admin)
    tuned: dict[str, Any] = {"data": {"tuned": "by-hand"}}
    await core.patch_namespaced_config_map("a", namespace, tuned, field_manager="tuner")
    assert (await plan(cluster, wanted, ignore=rules)).counts == {"unchanged": 1}
    assert (await cluster.drift(wanted, inventory=INVENTORY, ignore=rules)).clean
    changed = bundle(namespace, config_map("a", k="2", tuned="git"))
    assert (await apply(cluster, changed, ignore=rules)).counts == {"configured": 1}
    live = await core.read_namespaced_config_map("a", namespace)
    assert live.data == {"k": "2", "tuned": "by-hand"}

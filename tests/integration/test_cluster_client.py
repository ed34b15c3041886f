"""The cluster client against a real API server: plan, apply, prune, health, drift."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import client
from pydantic import JsonValue

from pilothouse.clients.cluster import ClusterClient
from pilothouse.clients.cluster.answers import Unavailable
from pilothouse.clients.cluster.transport import Transport
from pilothouse.local.controlplane.access import deployer_kubeconfig, grant_environment
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.names import OWNER_LABEL
from pilothouse.models.objects import ApplyReport, Bundle, Manifest, ObjectRef

REVISION = "a" * 40
INVENTORY = "pilothouse-shop-staging"


@pytest.fixture
async def cluster(admin_kubeconfig: Path) -> AsyncIterator[ClusterClient]:
    async with await ClusterClient.connect(admin_kubeconfig) as connected:
        yield connected


@pytest.fixture
async def deployer(
    admin_kubeconfig: Path, namespace: str, tmp_path: Path
) -> AsyncIterator[ClusterClient]:
    """As the rights that we ship allow, and no more."""
    await grant_environment(admin_kubeconfig, namespace)
    kubeconfig = await deployer_kubeconfig(admin_kubeconfig, namespace, tmp_path / "kubeconfig")
    async with await ClusterClient.connect(kubeconfig) as connected:
        yield connected


def bundle(namespace: str, *bodies: dict[str, JsonValue]) -> Bundle:
    manifests = [
        Manifest(file=f"k8s/{index}.yaml", line=index, body=body)
        for index, body in enumerate(bodies, start=1)
    ]
    return Bundle(
        environment="staging",
        namespace=namespace,
        policy="sha256:" + "0" * 64,
        manifests=tuple(manifests),
    )


def config_map(name: str, **data: JsonValue) -> dict[str, JsonValue]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def placed(**metadata: JsonValue) -> dict[str, JsonValue]:
    """A ConfigMap with metadata of one's own choice."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def secret(name: str, value: str) -> dict[str, JsonValue]:
    metadata: JsonValue = {"name": name}
    return {
        "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"key": value},
    }  # fmt: skip


def deployment(name: str, replicas: int = 1, **annotations: str) -> dict[str, JsonValue]:
    container: JsonValue = {"name": "api", "image": "registry.invalid/api:1"}
    notes: JsonValue = {f"simulator.pilothouse.dev/{k}": v for k, v in annotations.items()}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": notes},
                "spec": {"containers": [container]},
            },
        },
    }


async def apply(
    cluster: ClusterClient, wanted: Bundle, *, fencing: int = 1, prune: bool = True
) -> ApplyReport:
    return await cluster.apply(
        wanted,
        plan_digest=wanted.digest(),
        inventory=INVENTORY,
        fencing=fencing,
        operation=f"deployment-{fencing}",
        revision=REVISION,
        prune=prune,
        beat=lambda progress: None,
        content="sha256:" + "1" * 64,
    )


def refs(wanted: Bundle) -> list[ObjectRef]:
    return [manifest.ref for manifest in wanted.manifests]


async def names(admin: client.ApiClient, namespace: str) -> set[str]:
    """The ConfigMaps of a namespace, without the cluster's own and the inventory."""
    found = await client.CoreV1Api(admin).list_namespaced_config_map(namespace)
    return {item.metadata.name for item in found.items} - {"kube-root-ca.crt", INVENTORY}


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


async def test_a_plan_without_prune_says_what_stays(cluster: ClusterClient, namespace: str) -> None:
    await apply(cluster, bundle(namespace, config_map("old")))
    after = bundle(namespace, config_map("new"))
    plan = await cluster.plan(after, revision=REVISION, inventory=INVENTORY, prune=False)
    assert plan.counts == {"create": 1}
    assert "1 objects left Git and stay" in plan.findings[0].message


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


class ForgetfulTransport(Transport):
    """The answer to every second real write is lost on the way."""

    writes = 0

    async def raw(self, method: str, path: str, **options: Any) -> bytes:
        """As the real one, but forgetful."""
        answer = await super().raw(method, path, **options)
        if method != "GET" and "dryRun" not in (options.get("query") or {}):
            self.writes += 1
            if self.writes % 2 == 0:
                raise Unavailable("the answer got lost", sent=True)
        return answer


async def test_a_lost_answer_is_read_back_before_it_is_judged(
    admin_kubeconfig: Path, admin: client.ApiClient, namespace: str
) -> None:
    transport = await ForgetfulTransport.connect(admin_kubeconfig, None)
    async with ClusterClient(transport) as cluster:
        maps = [config_map(f"m{n}") for n in range(10)]
        report = await apply(cluster, bundle(namespace, *maps))
        assert (report.ok, report.counts) == (True, {"created": 10})
        fewer = await apply(cluster, bundle(namespace, *maps[:2]), fencing=2)
        assert (fewer.ok, fewer.counts) == (True, {"unchanged": 2, "deleted": 8})
    assert transport.writes > 20
    assert await names(admin, namespace) == {"m0", "m1"}


async def test_a_server_that_is_away_is_a_temporary_error(tmp_path: Path) -> None:
    away = kubeconfig_of(tmp_path / "kubeconfig", "https://127.0.0.1:1")
    async with await ClusterClient.connect(away) as cluster:
        with pytest.raises(TemporaryError, match="cannot reach") as caught:
            await cluster.read_inventory("default", INVENTORY)
    assert caught.value.type == "ClusterUnavailable"


@pytest.mark.parametrize("text", ["- 1", "{", "kind: Config", "contexts: 7", "\0"])
async def test_a_kubeconfig_that_is_no_kubeconfig_is_refused(tmp_path: Path, text: str) -> None:
    nonsense = tmp_path / "nonsense"
    nonsense.write_text(text)
    with pytest.raises(PermanentError, match="cannot be used"):
        await ClusterClient.connect(nonsense)


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="there is no kubeconfig .*none"):
        await ClusterClient.connect(tmp_path / "none")


def kubeconfig_of(path: Path, server: str, token: str = "abc") -> Path:
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        f"clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n"
        f"users: [{{name: u, user: {{token: {token}}}}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\n",
        encoding="utf-8",
    )
    return path


async def test_a_busy_server_is_asked_again_when_it_said_so(tmp_path: Path) -> None:
    asked: list[float] = []
    busy = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            asked.append(asyncio.get_running_loop().time())
            writer.write(busy if len(asked) == 1 else gone)
            if len(asked) == 2:
                break
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        away = kubeconfig_of(tmp_path / "kubeconfig", f"http://127.0.0.1:{port}")
        async with await ClusterClient.connect(away) as cluster:
            assert await cluster.read_inventory("default", INVENTORY) is None
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 1.0


async def test_a_token_that_was_renewed_in_the_kubeconfig_is_picked_up(
    admin_kubeconfig: Path, tmp_path: Path, namespace: str
) -> None:
    good = admin_kubeconfig.read_text(encoding="utf-8")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(re.sub(r"(token\"?:\s*)\S+", r'\1"expired"', good), encoding="utf-8")
    async with await ClusterClient.connect(kubeconfig) as cluster:
        with pytest.raises(PermanentError, match="renew the kubeconfig"):
            await cluster.read_inventory(namespace, INVENTORY)
        kubeconfig.write_text(good, encoding="utf-8")
        assert await cluster.read_inventory(namespace, INVENTORY) is None


async def test_names_from_git_stay_names(
    cluster: ClusterClient, admin: client.ApiClient, namespace: str
) -> None:
    hostile = ["..", ".", "../../../secrets", "a?dryRun=None", "a/b", "%2e%2e", "a#b", "\u0000"]
    bodies: list[dict[str, JsonValue]] = []
    for name in hostile:
        bodies.append(placed(name=name))
        bodies.append(placed(name="x", namespace=name))
    wanted = bundle(namespace, *bodies)
    plan = await cluster.plan(wanted, revision=REVISION, inventory=INVENTORY, prune=True)
    assert {found.severity for found in plan.findings} == {"error"}
    assert len(plan.findings) == len(bodies)
    workloads = [deployment("x") | {"metadata": body["metadata"]} for body in bodies]
    assert (await cluster.health(bundle(namespace, *workloads), namespace)).status == "Missing"
    assert await names(admin, namespace) == set()


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

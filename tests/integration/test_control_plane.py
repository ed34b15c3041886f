import asyncio
import base64
import json
import os
import signal
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from kubernetes.aio import client, config

from pilothouse.clients.settings import read_settings
from pilothouse.local.controlplane import (
    ControlPlane,
    ControlPlaneBinary,
    deployer_kubeconfig,
    find_control_plane,
    grant_environment,
    server,
)
from pilothouse.local.detached import identify
from pilothouse.local.ports import free_ports
from pilothouse.models.errors import PermanentError

READ = frozenset({"get", "list", "watch"})
WRITE = READ | {"create", "patch", "update", "delete"}
GOLDEN = {
    ("", "configmaps"): WRITE,
    ("", "persistentvolumeclaims"): WRITE,
    ("", "serviceaccounts"): WRITE,
    ("", "services"): WRITE,
    ("apps", "daemonsets"): WRITE,
    ("apps", "deployments"): WRITE,
    ("apps", "statefulsets"): WRITE,
    ("autoscaling", "horizontalpodautoscalers"): WRITE,
    ("batch", "cronjobs"): WRITE,
    ("batch", "jobs"): WRITE,
    ("networking.k8s.io", "ingresses"): WRITE,
    ("networking.k8s.io", "networkpolicies"): WRITE,
    ("policy", "poddisruptionbudgets"): WRITE,
    ("", "events"): READ,
    ("", "pods"): READ,
    ("apps", "replicasets"): READ,
    ("discovery.k8s.io", "endpointslices"): READ,
    ("events.k8s.io", "events"): READ,
    ("", "pods/log"): frozenset({"get"}),
    ("", "namespaces"): frozenset({"get"}),
    ("", "secrets"): frozenset({"create", "patch"}),
}
"""Everything that the deployer may do in its environment."""

FORBIDDEN = [
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("watch", "", "secrets"),
    ("delete", "", "secrets"),
    ("create", "", "pods"),
    ("delete", "", "pods"),
    ("create", "", "pods/exec"),
    ("get", "", "pods/exec"),
    ("create", "", "pods/attach"),
    ("create", "", "pods/portforward"),
    ("patch", "", "pods/ephemeralcontainers"),
    ("create", "", "serviceaccounts/token"),
    ("impersonate", "", "serviceaccounts"),
    ("deletecollection", "", "configmaps"),
    ("delete", "", "namespaces"),
    ("create", "rbac.authorization.k8s.io", "roles"),
    ("bind", "rbac.authorization.k8s.io", "roles"),
    ("escalate", "rbac.authorization.k8s.io", "roles"),
    ("create", "rbac.authorization.k8s.io", "rolebindings"),
    ("get", "apps", "deployments/unknown"),
]
FORBIDDEN_IN_CLUSTER = [
    ("get", "", "nodes"),
    ("get", "", "nodes/proxy"),
    ("create", "", "namespaces"),
    ("list", "", "namespaces"),
    ("impersonate", "", "users"),
    ("impersonate", "", "groups"),
    ("create", "", "persistentvolumes"),
    ("bind", "rbac.authorization.k8s.io", "clusterroles"),
    ("escalate", "rbac.authorization.k8s.io", "clusterroles"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("create", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("create", "admissionregistration.k8s.io", "validatingwebhookconfigurations"),
    ("create", "certificates.k8s.io", "certificatesigningrequests"),
    ("*", "*", "*"),
]


@pytest.fixture(scope="session")
async def binary() -> ControlPlaneBinary:
    settings = read_settings()
    return await find_control_plane(
        directory=settings.control_plane_dir, cache=settings.cache_dir, progress=print
    )


@pytest.fixture
async def deployer(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> AsyncIterator[client.ApiClient]:
    """A client with the rights of the deployer of one environment."""
    admin = control_plane.kubeconfig()
    await grant_environment(admin, namespace)
    path = await deployer_kubeconfig(admin, namespace, tmp_path / "deployer.kubeconfig")
    async with await config.new_client_from_config(str(path)) as api:
        yield api


async def allowed(
    api: client.ApiClient, verb: str, group: str, resource: str, namespace: str = "", name: str = ""
) -> bool:
    kind, _, subresource = resource.partition("/")
    attributes = {
        "verb": verb,
        "group": group,
        "resource": kind,
        "subresource": subresource,
        "namespace": namespace,
        "name": name,
    }
    review = await client.AuthorizationV1Api(api).create_self_subject_access_review({
        "spec": {"resourceAttributes": attributes}
    })
    return bool(review.status.allowed)


async def test_a_workload_rolls_out_and_its_logs_can_be_read(
    admin: client.ApiClient, namespace: str
) -> None:
    labels = {"app": "web"}
    await client.AppsV1Api(admin).create_namespaced_deployment(
        namespace,
        {
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "web", "image": "registry.invalid/web:1"}]},
                },
            },
        },
    )
    async with asyncio.timeout(30):
        while True:
            deployment = await client.AppsV1Api(admin).read_namespaced_deployment("web", namespace)
            if deployment.status.available_replicas == 2:
                break
            await asyncio.sleep(0.1)
    core = client.CoreV1Api(admin)
    pods = (await core.list_namespaced_pod(namespace, label_selector="app=web")).items
    assert len(pods) == 2
    log = await core.read_namespaced_pod_log(pods[0].metadata.name, namespace)
    assert "simulated" in log


async def test_admission_and_authorization_are_on(admin: client.ApiClient, namespace: str) -> None:
    core = client.CoreV1Api(admin)
    await core.patch_namespace(
        namespace, {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}}
    )
    privileged = {
        "metadata": {"name": "root"},
        "spec": {
            "containers": [
                {
                    "name": "root",
                    "image": "registry.invalid/root:1",
                    "securityContext": {"privileged": True},
                }
            ]
        },
    }
    with pytest.raises(client.ApiException) as raised:
        await core.create_namespaced_pod(namespace, privileged)
    assert raised.value.status == 403
    assert "violates PodSecurity" in str(raised.value.body)


async def test_nobody_is_served_without_a_credential(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    document = yaml.safe_load(control_plane.kubeconfig().read_text(encoding="utf-8"))
    document["users"][0]["user"] = {"token": "guess"}
    path = tmp_path / "stranger.kubeconfig"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    async with await config.new_client_from_config(str(path)) as api:
        with pytest.raises(client.ApiException) as raised:
            await client.VersionApi(api).get_code()
    assert raised.value.status == 401


async def test_the_shipped_rules_are_the_golden_list(
    admin: client.ApiClient, deployer: client.ApiClient, namespace: str
) -> None:
    rbac = client.RbacAuthorizationV1Api(admin)
    role = await rbac.read_namespaced_role("pilothouse-deployer", namespace)
    found: dict[tuple[str, str], frozenset[str]] = {}
    for rule in role.rules:
        for group in rule.api_groups:
            for resource in rule.resources:
                key = (group, resource)
                found[key] = found.get(key, frozenset()) | frozenset(rule.verbs)
    assert found == GOLDEN
    named = [rule.resource_names for rule in role.rules if rule.resources == ["namespaces"]]
    assert named == [[namespace]]

    discovery = await rbac.read_cluster_role("pilothouse-deployer-discovery")
    assert all(not rule.resources and rule.verbs == ["get"] for rule in discovery.rules)
    urls = [url for rule in discovery.rules for url in rule.non_resource_urls]
    assert urls
    assert not [url for url in urls if "*" in url]


async def test_what_the_server_grants_the_deployer_is_the_golden_list_and_no_more(
    deployer: client.ApiClient, namespace: str
) -> None:
    review = await client.AuthorizationV1Api(deployer).create_self_subject_rules_review({
        "spec": {"namespace": namespace}
    })
    found: dict[tuple[str, str], frozenset[str]] = {}
    for rule in review.status.resource_rules:
        for group in rule.api_groups:
            # What every user has: asking the server about oneself.
            if group in {"authorization.k8s.io", "authentication.k8s.io"}:
                continue
            for resource in rule.resources:
                key = (group, resource)
                found[key] = found.get(key, frozenset()) | frozenset(rule.verbs)
    assert found == GOLDEN
    assert not review.status.incomplete


async def test_the_deployer_may_do_each_thing_on_the_list(
    deployer: client.ApiClient, namespace: str
) -> None:
    refused = [
        (verb, group, resource)
        for (group, resource), verbs in GOLDEN.items()
        for verb in sorted(verbs)
        if not await allowed(deployer, verb, group, resource, namespace, name=namespace)
    ]
    assert refused == []


async def test_the_deployer_may_do_nothing_dangerous(
    deployer: client.ApiClient, namespace: str
) -> None:
    granted = [
        (verb, group, resource)
        for verb, group, resource in FORBIDDEN
        if await allowed(deployer, verb, group, resource, namespace, name=namespace)
    ]
    granted += [
        (verb, group, resource)
        for verb, group, resource in FORBIDDEN_IN_CLUSTER
        if await allowed(deployer, verb, group, resource)
    ]
    assert granted == []


@pytest.mark.parametrize("other", ["default", "kube-system", "pilothouse-system"])
async def test_the_deployer_has_no_rights_in_other_namespaces(
    deployer: client.ApiClient, other: str
) -> None:
    granted = [
        (verb, group, resource)
        for (group, resource), verbs in GOLDEN.items()
        for verb in sorted(verbs)
        if await allowed(deployer, verb, group, resource, other)
    ]
    assert granted == []


async def test_the_deployer_writes_a_secret_that_it_cannot_read(
    deployer: client.ApiClient, namespace: str
) -> None:
    core = client.CoreV1Api(deployer)
    await core.create_namespaced_secret(
        namespace, {"metadata": {"name": "key"}, "stringData": {"value": "hidden"}}
    )
    with pytest.raises(client.ApiException) as raised:
        await core.read_namespaced_secret("key", namespace)
    assert raised.value.status == 403
    assert (await core.read_namespace(namespace)).metadata.name == namespace


async def test_a_deployer_kubeconfig_is_private_and_its_token_lives_a_day(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    admin = control_plane.kubeconfig()
    await grant_environment(admin, namespace)
    await grant_environment(admin, namespace)
    path = await deployer_kubeconfig(admin, namespace, tmp_path / "deployer.kubeconfig")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document["contexts"][0]["context"]["namespace"] == namespace
    claims = token_claims(document["users"][0]["user"]["token"])
    assert claims["sub"] == "system:serviceaccount:pilothouse-system:pilothouse-deployer"
    assert int(str(claims["exp"])) - int(str(claims["iat"])) == 24 * 3600


def token_claims(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    data = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    claims: dict[str, object] = json.loads(data)
    return claims


@pytest.mark.parametrize("name", ["kube-system", "pilothouse-system", "Up", "a/b", "", "x" * 64])
async def test_no_environment_can_be_granted_in_the_clusters_own_namespaces(
    control_plane: ControlPlane, name: str
) -> None:
    with pytest.raises(PermanentError) as raised:
        await grant_environment(control_plane.kubeconfig(), name)
    assert raised.value.type == "InvalidRequest"


async def test_a_second_control_plane_beside_the_first_keeps_its_state_over_a_restart(
    control_plane: ControlPlane, binary: ControlPlaneBinary, tmp_path: Path
) -> None:
    directory = tmp_path / "second"
    async with ControlPlane(binary, directory) as second:
        before = second.kubeconfig().read_bytes()
        assert before != control_plane.kubeconfig().read_bytes()
        await create_configmap(second, "kept")
        for another in (second, ControlPlane(binary, directory)):
            with pytest.raises(PermanentError, match="a control plane already runs in"):
                await another.start()
        pids = second.pids.values()
        assert len(pids) == 4
    assert not second.running
    assert [pid for pid in pids if identify(pid)] == []

    async with ControlPlane(binary, directory) as again:
        assert again.kubeconfig().read_bytes() == before
        assert "kept" in await configmaps(again)
    assert control_plane.running


async def test_a_detached_control_plane_is_stopped_by_a_later_object(
    binary: ControlPlaneBinary, tmp_path: Path
) -> None:
    directory = tmp_path / "detached"
    first = ControlPlane(binary, directory, detached=True)
    await first.start()
    later = ControlPlane(binary, directory, detached=True)
    try:
        assert later.running
        assert later.pids == first.pids
        for other in (later, ControlPlane(binary, directory)):
            with pytest.raises(PermanentError, match="a control plane already runs in"):
                await other.start()
        assert later.running
        await create_configmap(later, "kept")
    finally:
        await later.stop()
    assert not first.running
    assert list((directory / "run").iterdir()) == []


async def test_a_start_that_fails_leaves_no_process_and_says_why(
    binary: ControlPlaneBinary, tmp_path: Path
) -> None:
    directory = tmp_path / "broken"
    async with ControlPlane(binary, directory) as cluster:
        pass
    cluster.pki.certificate("apiserver").write_text("no certificate", encoding="utf-8")
    broken = ControlPlane(binary, directory)
    with pytest.raises(PermanentError, match="kube-apiserver ended with exit code 1") as raised:
        await broken.start()
    assert "failed to find any PEM data in certificate input" in str(raised.value)
    assert broken.pids == {}
    assert not (directory / "run").exists()


@pytest.mark.parametrize("taken", [0, 2], ids=["etcd", "kube-apiserver"])
async def test_a_port_that_someone_takes_meanwhile_is_replaced(
    binary: ControlPlaneBinary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    with socket.socket() as rival:
        rival.bind(("127.0.0.1", 0))
        rival.listen()
        unlucky = list(free_ports(3))
        unlucky[taken] = rival.getsockname()[1]
        choices = iter([tuple(unlucky), free_ports(3)])
        monkeypatch.setattr(server, "free_ports", lambda count: next(choices))
        async with ControlPlane(binary, tmp_path / "unlucky") as cluster:
            assert cluster.running
        assert next(choices, None) is None


async def test_state_survives_when_everything_is_killed(
    binary: ControlPlaneBinary, tmp_path: Path
) -> None:
    cluster = ControlPlane(binary, tmp_path / "killed")
    await cluster.start()
    try:
        await create_configmap(cluster, "kept")
        for pid in cluster.pids.values():
            os.kill(pid, signal.SIGKILL)
    finally:
        await cluster.stop()
    async with cluster:
        assert "kept" in await configmaps(cluster)


async def test_secrets_of_the_control_plane_are_readable_by_us_only(
    control_plane: ControlPlane,
) -> None:
    directory = control_plane.kubeconfig().parent
    private = [
        *directory.glob("*.kubeconfig"),
        *directory.glob("pki/*.key"),
        directory / "tokens.csv",
    ]
    assert len(private) > 10
    assert [path.name for path in private if stat.S_IMODE(path.stat().st_mode) != 0o600] == []
    for pid in control_plane.pids.values():
        arguments = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
        for line in (directory / "tokens.csv").read_text(encoding="utf-8").splitlines():
            assert line.split(",")[0] not in arguments


async def create_configmap(cluster: ControlPlane, name: str) -> None:
    async with await config.new_client_from_config(str(cluster.kubeconfig())) as api:
        await client.CoreV1Api(api).create_namespaced_config_map(
            "default", {"metadata": {"name": name}}
        )


async def configmaps(cluster: ControlPlane) -> set[str]:
    async with await config.new_client_from_config(str(cluster.kubeconfig())) as api:
        found = await client.CoreV1Api(api).list_namespaced_config_map("default")
    return {item.metadata.name for item in found.items}

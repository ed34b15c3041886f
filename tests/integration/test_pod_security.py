"""Pod Security: our verdict on generated pods is that of the API server's admission plugin."""

import asyncio
import random
import re
from typing import Any, get_args

import pytest
from kubernetes.aio import client

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.manifests.places import Place
from pilothouse.gitops.validation.object_set import ObjectSet
from pilothouse.gitops.validation.pod_security import check_pod_security
from pilothouse.models.objects import Manifest
from pilothouse.models.pipeline import PodSecurityLevel

PODS = 400
AT_ONCE = 8
REASONS = {
    "host namespaces": "host-namespaces",
    "privileged": "privileged",
    "non-default capabilities": "capabilities",
    "hostPath volumes": "host-path-volumes",
    "hostPort": "host-ports",
    "forbidden AppArmor profile": "apparmor-profile",
    "forbidden AppArmor profiles": "apparmor-profile",
    "seLinuxOptions": "selinux-options",
    "procMount": "proc-mount",
    "seccompProfile": "seccomp-profile",
    "forbidden sysctls": "sysctls",
    "hostProcess": "windows-host-process",
    "probe or lifecycle host": "host-probes-and-lifecycle",
    "restricted volume types": "restricted-volumes",
    "allowPrivilegeEscalation != false": "allow-privilege-escalation",
    "runAsNonRoot != true": "run-as-non-root",
    "runAsUser=0": "run-as-user",
    "unrestricted capabilities": "capabilities",
}
"""How the plugin's messages begin, and the rule they mean; baseline and restricted alike."""

CAPABILITIES = (
    "NET_BIND_SERVICE",
    "CHOWN",
    "SYS_ADMIN",
    "NET_RAW",
    "SYS_CHROOT",
    "ALL",
    "CAP_KILL",
)
PROFILES = ({"type": "RuntimeDefault"}, {"type": "Unconfined"}, None,
            {"type": "Localhost", "localhostProfile": "x.json"})  # fmt: skip
SYSCTLS = (
    "kernel.shm_rmid_forced", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_rmem", "kernel.msgmax",
    "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_probes", "net.ipv4.ip_local_reserved_ports",
    "net.core.somaxconn", "net.ipv4.ping_group_range", "net.ipv4.tcp_wmem", "fs.mqueue.msg_max",
)  # fmt: skip
VOLUMES: tuple[dict[str, Any], ...] = (
    {"hostPath": {"path": "/srv"}},
    {"emptyDir": {}},
    {"configMap": {"name": "x"}},
    {"secret": {"secretName": "x"}},
    {"nfs": {"server": "x", "path": "/x"}},
    {"iscsi": {"targetPortal": "1.2.3.4", "iqn": "iqn.2001-04.com.example:x", "lun": 1}},
    {"image": {"reference": "registry.invalid/x:1"}},
    {"csi": {"driver": "x.example.com"}},
    {"persistentVolumeClaim": {"claimName": "x"}},
    {"projected": {"sources": []}},
    {"downwardAPI": {"items": []}},
    {},
)
HOSTS = ("", "127.0.0.1", "example.com")


def hook(rng: random.Random) -> dict[str, Any]:
    action: dict[str, Any] = {"port": 80}
    if rng.random() < 0.6:
        action["host"] = rng.choice(HOSTS)
    return {rng.choice(("httpGet", "tcpSocket")): action}


def context(rng: random.Random, *, of_pod: bool) -> dict[str, Any]:
    """Some fields of a security context, each near the border between allowed and not."""
    fields: dict[str, Any] = {
        "runAsNonRoot": rng.choice((True, False)),
        "runAsUser": rng.choice((0, 1000)),
        "seccompProfile": rng.choice(PROFILES),
        "appArmorProfile": rng.choice(PROFILES),
        "seLinuxOptions": {
            rng.choice(("type", "user", "role", "level")): rng.choice((
                "", "container_t", "container_engine_t", "spc_t", "container_init_t",
            )),
        },
        "windowsOptions": {"hostProcess": False},
    }  # fmt: skip
    if of_pod:
        fields["sysctls"] = [{"name": rng.choice(SYSCTLS), "value": "1"}]
    else:
        fields |= {
            "privileged": rng.choice((True, False)),
            "allowPrivilegeEscalation": rng.choice((True, False)),
            "procMount": rng.choice(("Default", "Unmasked")),
            "capabilities": {
                "add": rng.sample(CAPABILITIES, rng.randint(0, 2)),
                "drop": rng.choice((["ALL"], ["NET_RAW"], [], ["ALL", "KILL"])),
            },
        }
    chosen = rng.sample(sorted(fields), rng.choice((0, 0, 1, 1, 2)))
    return {name: fields[name] for name in chosen}


def container(rng: random.Random, name: str, *, probes: bool) -> dict[str, Any]:
    hardened = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    security = {} if rng.random() < 0.15 else hardened
    body: dict[str, Any] = {
        "name": name,
        "image": "registry.invalid/api:1",
        "securityContext": security | context(rng, of_pod=False),
    }
    if rng.random() < 0.2:
        port = {"containerPort": 8080}
        body["ports"] = [port | rng.choice(({}, {"hostPort": 8080}, {"hostPort": 0}))]
    if probes and rng.random() < 0.2:
        body[rng.choice(("livenessProbe", "readinessProbe", "startupProbe"))] = hook(rng)
    if probes and rng.random() < 0.2:
        body["lifecycle"] = {rng.choice(("postStart", "preStop")): hook(rng)}
    return body


def windows(rng: random.Random) -> dict[str, Any]:
    """The spec of a Windows pod: it may set no field that means something on Linux only."""
    as_host = rng.choice((True, False))
    security: dict[str, Any] = {"windowsOptions": {"hostProcess": as_host}}
    if rng.random() < 0.6:
        security["runAsNonRoot"] = True
    return {
        "os": {"name": "windows"},
        "hostNetwork": as_host,
        "securityContext": security,
        "containers": [{"name": "api", "image": "registry.invalid/api:1"}],
    }


def pod(seed: int) -> dict[str, Any]:
    """A pod near the border of both levels; most break none or one of the controls."""
    rng = random.Random(seed)
    spec = windows(rng) if rng.random() < 0.05 else linux(rng)
    annotations = {}
    if rng.random() < 0.1:
        key = "container.apparmor.security.beta.kubernetes.io/api"
        annotations[key] = rng.choice(("unconfined", "runtime/default", "localhost/x"))
    metadata = {"name": f"pod-{seed}", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def linux(rng: random.Random) -> dict[str, Any]:
    """The spec of a pod as most are."""
    hardened = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    security = ({} if rng.random() < 0.2 else hardened) | context(rng, of_pod=True)
    spec: dict[str, Any] = {
        "containers": [container(rng, "api", probes=True)],
        "securityContext": security,
    }
    if rng.random() < 0.3:
        spec["initContainers"] = [container(rng, "init", probes=False)]
    if rng.random() < 0.3:
        spec["volumes"] = [{"name": "data"} | rng.choice(VOLUMES)]
    if rng.random() < 0.15:
        spec[rng.choice(("hostPID", "hostIPC", "hostNetwork"))] = rng.choice((True, False))
    if spec.get("hostNetwork"):
        # The server copies a port of such a pod to hostPort, and then refuses that, too.
        spec["containers"][0].pop("ports", None)
        for init in spec.get("initContainers", ()):
            init.pop("ports", None)
    if rng.random() < 0.15:
        spec["hostUsers"] = rng.choice((True, False))
    return spec


def ours(body: dict[str, Any], level: PodSecurityLevel) -> frozenset[str]:
    manifest = LoadedManifest(Manifest(file="pod.yaml", line=1, body=body), Place(1))
    found = {
        finding.rule.removeprefix("pod-security-")
        for finding in check_pod_security(ObjectSet([manifest]), level)
    }
    # The plugin tells the stricter of two controls about one field; so both count as one here.
    return frozenset(
        "restricted-volumes"
        if name == "host-path-volumes" and level == "restricted"
        else name.removesuffix("-restricted")
        for name in found
    )


async def theirs(
    core: client.CoreV1Api, namespace: str, body: dict[str, Any]
) -> frozenset[str] | None:
    """What the plugin says; None if the pod is none for another reason."""
    try:
        await core.create_namespaced_pod(namespace, body, dry_run="All")
    except client.ApiException as error:
        if error.status != 403:
            return None
        _, _, reasons = str(error.body).partition('latest\\":')
        assert reasons, error.body
        told = re.sub(r"\((?:[^()]|\([^()]*\))*\)", "", reasons.partition('","reason"')[0])
        return frozenset(REASONS[reason.strip()] for reason in told.split(","))
    return frozenset()


@pytest.mark.parametrize("level", ["baseline", "restricted"])
async def test_our_verdict_is_the_admission_plugins(
    admin: client.ApiClient, namespace: str, level: PodSecurityLevel
) -> None:
    assert level in get_args(PodSecurityLevel)
    core = client.CoreV1Api(admin)
    label = {"pod-security.kubernetes.io/enforce": level}
    await core.patch_namespace(namespace, {"metadata": {"labels": label}})
    slots = asyncio.Semaphore(AT_ONCE)

    async def compared(seed: int) -> tuple[int, frozenset[str], frozenset[str]] | None:
        body = pod(seed)
        async with slots:
            answer = await theirs(core, namespace, body)
        return None if answer is None else (seed, answer, ours(body, level))

    results = [r for r in await asyncio.gather(*map(compared, range(PODS))) if r is not None]
    different = [(seed, sorted(them ^ us)) for seed, them, us in results if them != us]
    assert different == []
    assert len(results) >= 200
    refused = {name for _, them, _ in results for name in them}
    allowed = sum(not them for _, them, _ in results)
    assert allowed >= 20
    assert len(refused) >= (10 if level == "baseline" else 13)

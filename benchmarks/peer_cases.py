"""Manifests on which to compare validators: sound ones, and for each thing to check changed ones.

Each case is a set of objects that refer to each other only, in a namespace of its own, so that all
cases can be judged in one run of a program.
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import JsonValue

from benchmarks.peer_workloads import (
    KINDS,
    Object,
    container,
    merged,
    sound_pod,
    workload,
)
from pilothouse.gitops.validation.security.flag_table import FLAGS

_HERE = Path(__file__).parent
_RBAC = "rbac.authorization.k8s.io"
CLUSTER_SCOPED = frozenset({"ClusterRole", "ClusterRoleBinding", "Namespace"})


@dataclass(frozen=True, slots=True)
class PeerCase:
    """Objects that are judged together."""

    name: str
    """A DNS label: also their namespace."""
    objects: tuple[Object, ...]


def generated() -> list[PeerCase]:
    """Every case that is made here, in namespaces of their own."""
    changes = yaml.safe_load((_HERE / "peer_changes.yaml").read_text(encoding="utf-8"))
    sets = yaml.safe_load((_HERE / "peer_sets.yaml").read_text(encoding="utf-8"))
    cases = itertools.chain(
        _container_cases(changes["container"]),
        _pod_cases(changes["pod"]),
        (
            PeerCase(f"deployment-{name}", (merged(workload("Deployment", "x"), change),))
            for name, change in changes["workload"].items()
        ),
        (PeerCase(name, tuple(map(_filled, objects))) for name, objects in sets.items()),
        _role_cases(),
        _flag_cases(),
    )
    return [isolated(case, case.name) for case in cases]


def without_namespace() -> PeerCase:
    """One object of each kind that names no namespace, and one that is in `default`."""
    objects = [
        workload(kind, f"{kind.lower()}-{place or 'none'}", namespace=place)
        for kind in KINDS
        for place in ("", "default", "elsewhere")
    ]
    others = ("v1 Service", "v1 ConfigMap", "v1 Secret", "v1 ServiceAccount")
    for line, place in itertools.product(others, ("", "default", "elsewhere")):
        version, kind = line.split()
        metadata: Object = {"name": f"{kind.lower()}-{place or 'none'}"}
        if place:
            metadata["namespace"] = place
        objects.append({"apiVersion": version, "kind": kind, "metadata": metadata})
    return PeerCase("without-namespace", tuple(objects))


def isolated(case: PeerCase, place: str) -> PeerCase:
    """The case with its objects in one namespace, and its name wherever they say WHERE."""
    text = json.dumps(case.objects).replace("WHERE", place)
    return PeerCase(case.name, tuple(_placed(body, place) for body in json.loads(text)))


def _placed(body: Object, place: str) -> Object:
    """The object in a namespace; what belongs to the cluster keeps to its name."""
    metadata = body["metadata"]
    assert isinstance(metadata, dict), body
    if body.get("kind") not in CLUSTER_SCOPED:
        metadata["namespace"] = place
    return body


# -- workloads ------------------------------------------------------------------------------------


def _filled(body: Object) -> Object:
    kind, change = body.get("workload"), body.get("change", {})
    if kind is None:
        return body
    assert isinstance(change, dict), body
    return merged(workload(str(kind), str(body["name"])), change)


def _container_cases(changes: Mapping[str, Object]) -> Iterator[PeerCase]:
    for name, change in changes.items():
        changed = merged(container(), change)
        for kind in KINDS:
            pod = merged(sound_pod(kind), {"containers": [changed]})
            yield PeerCase(f"{kind.lower()}-{name}", (workload(kind, "x", pod),))
        first = merged(merged(container("first"), {"livenessProbe": None}), change)
        for kind in ("Deployment", "CronJob"):
            pod = merged(sound_pod(kind), {"initContainers": [first]})
            yield PeerCase(f"init-{kind.lower()}-{name}", (workload(kind, "x", pod),))
        pod = merged(
            sound_pod("Pod"), {"containers": [container(), merged(container("b"), change)]}
        )
        yield PeerCase(f"second-{name}", (workload("Pod", "x", pod),))


def _pod_cases(changes: Mapping[str, Object]) -> Iterator[PeerCase]:
    bare: Object = {"runAsNonRoot": None, "runAsUser": None, "runAsGroup": None}
    for kind in KINDS:
        for name, change in changes.items():
            pod = merged(sound_pod(kind), change)
            yield PeerCase(f"pod-{kind.lower()}-{name}", (workload(kind, "x", pod),))
        for field, value in (
            ("runAsNonRoot", True), ("runAsNonRoot", False), ("runAsUser", 0),
            ("runAsUser", 1000), ("runAsUser", 20000), ("runAsGroup", 20000),
        ):  # fmt: skip
            inherited: Object = {"securityContext": {field: value, "runAsGroup": 20000}}
            pod = merged(sound_pod(kind), inherited)
            pod["containers"] = [merged(container(), {"securityContext": bare})]
            name = f"inherit-{kind.lower()}-{field.lower()}-{str(value).lower()}"
            yield PeerCase(name, (workload(kind, "x", pod),))


# -- roles and flags -------------------------------------------------------------------------------

_GRANTS = (
    ("", "secrets", "get"), ("", "secrets", "list"), ("", "secrets", "watch"),
    ("", "secrets", "create"), ("", "secrets", "*"), ("*", "*", "get"), ("", "*", "list"),
    ("*", "*", "*"), ("", "pods", "*"), ("*", "pods", "get"), ("", "pods", "get"),
    ("", "pods/exec", "create"), ("", "pods/exec", "get"), ("", "pods/attach", "create"),
    ("", "nodes/proxy", "create"), ("", "nodes/proxy", "get"), ("", "pods/*", "create"),
    ("", "users", "impersonate"), ("", "groups", "impersonate"),
    ("", "serviceaccounts", "impersonate"), ("authentication.k8s.io", "uids", "impersonate"),
    ("", "services/status", "update"), ("", "services/status", "patch"),
    ("", "services/status", "get"), (_RBAC, "roles", "escalate"),
    (_RBAC, "clusterroles", "escalate"), (_RBAC, "roles", "bind"),
    (_RBAC, "rolebindings", "bind"), (_RBAC, "clusterroles", "bind"),
    (_RBAC, "clusterrolebindings", "bind"), (_RBAC, "rolebindings", "create"),
    (_RBAC, "rolebindings", "update"), (_RBAC, "clusterrolebindings", "patch"),
    (_RBAC, "rolebindings", "get"), (_RBAC, "*", "*"),
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations", "create"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "patch"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "update"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "get"),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "*"),
    ("certificates.k8s.io", "certificatesigningrequests/approval", "update"),
    ("certificates.k8s.io", "certificatesigningrequests/approval", "patch"),
    ("certificates.k8s.io", "signers", "approve"),
)  # fmt: skip
_SUBJECTS: Mapping[str, Object] = {
    "account": {"kind": "ServiceAccount", "name": "own", "namespace": "WHERE"},
    "node": {"kind": "User", "apiGroup": _RBAC, "name": "system:node:one"},
    "user": {"kind": "User", "apiGroup": _RBAC, "name": "robin"},
    "group": {"kind": "Group", "apiGroup": _RBAC, "name": "developers"},
}


def _rule(*grants: tuple[str, str, str]) -> list[JsonValue]:
    return [{"apiGroups": [g], "resources": [r], "verbs": [v]} for g, r, v in grants]


def _role_cases() -> Iterator[PeerCase]:
    approval = [grant for grant in _GRANTS if grant[0] == "certificates.k8s.io"]
    chosen = [(grant,) for grant in _GRANTS] + [tuple(approval), (_GRANTS[31], _GRANTS[26])]
    for index, grants in enumerate(chosen):
        for kind in ("Role", "ClusterRole"):
            for subject in _SUBJECTS if len(grants) == 1 else ("account",):
                name = f"rbac-{index}-{kind.lower()}-{subject}"
                yield PeerCase(name, tuple(_bound(kind, subject, _rule(*grants))))


def _bound(kind: str, subject: str, rules: list[JsonValue]) -> Iterator[Object]:
    """A role, and the bindings that may name it."""
    base: Object = {"apiVersion": f"{_RBAC}/v1"}
    given: Object = {"apiGroup": _RBAC, "kind": kind, "name": "WHERE-r"}
    yield base | {"kind": kind, "metadata": {"name": "WHERE-r"}, "rules": rules}
    for binding in ("RoleBinding", "ClusterRoleBinding")[: 1 + (kind == "ClusterRole")]:
        yield base | {
            "kind": binding,
            "metadata": {"name": f"WHERE-{binding.lower()}"},
            "roleRef": given,
            "subjects": [_SUBJECTS[subject]],
        }


def _flag_cases() -> Iterator[PeerCase]:
    values = (
        "true", "false", "0", "5", "30", "100", "127.0.0.1", "/etc/a.pem", "/etc/a.json",
        "RBAC", "Node,RBAC", "AlwaysAllow", "RBAC,AlwaysAllow", "NodeRestriction,AlwaysPullImages",
        "EventRateLimit", "AlwaysAdmit", "ServiceAccount", "NamespaceLifecycle",
    )  # fmt: skip
    for program, rows in FLAGS.items():
        flags = sorted({flag for row in rows for flag in row.flags.split()})
        numbers = {flag for flag in flags if flag.startswith("audit-log-max")}
        numbers.add("terminated-pod-gc-threshold")
        words = [
            f"--{flag}={value}"
            for flag, value in itertools.product(flags, values)
            if _is_bearable(flag, value, numbers)
        ]
        every = [f"--{flag}={500 if flag in numbers else '/etc/a.pem'}" for flag in flags]
        lines = [[], *([word] for word in words), every]
        for index, line in enumerate(lines):
            yield PeerCase(f"flag-{program}-{index}", (_program(program, line, []),))
            if line and line[0].endswith("=true"):
                yield PeerCase(f"flag-{program}-{index}-a", (_program(program, [], line),))


def _is_bearable(flag: str, value: str, numbers: set[str]) -> bool:
    """Whether checkov lives through it: it dies of numbers and file names that are none.

    It also dies of flags without a value.
    """
    if flag in numbers:
        return value.isdecimal()
    return value.endswith((".pem", ".json")) or not flag.endswith("file")


def _program(program: str, words: list[str], arguments: list[str]) -> Object:
    change: Object = {"image": f"example.com/{program}:1", "command": [program, *words]}
    if arguments:
        change["args"] = list[JsonValue](arguments)
    pod = merged(sound_pod("Pod"), {"containers": [merged(container(program), change)]})
    return workload("Pod", program, pod)

"""Pod Security: which level counts, and controls that the API server is not asked about."""

from typing import Any

import pytest

from pilothouse.gitops.manifests.loader import LoadedManifest
from pilothouse.gitops.manifests.places import Place
from pilothouse.gitops.validation.object_set import ObjectSet
from pilothouse.gitops.validation.pod_security import RULES, check_pod_security
from pilothouse.models.findings import Finding
from pilothouse.models.objects import Manifest
from pilothouse.models.pipeline import PodSecurityLevel

Body = dict[str, Any]
SPEC: Body = {"hostPID": True, "containers": [{"name": "api", "image": "x:1"}]}


def told(*bodies: Body, level: PodSecurityLevel | None = None, namespace: str = "") -> set[str]:
    return {finding.rule for finding in findings(*bodies, level=level, namespace=namespace)}


def findings(
    *bodies: Body, level: PodSecurityLevel | None = None, namespace: str = ""
) -> list[Finding]:
    manifests = [
        LoadedManifest(Manifest(file="a.yaml", line=1, body=body), Place(1)) for body in bodies
    ]
    return list(check_pod_security(ObjectSet(manifests, namespace=namespace), level))


def workload(kind: str, api_version: str, namespace: str = "shop", spec: Body = SPEC) -> Body:
    inner: Body = {"spec": spec} if kind == "Pod" else {"spec": {"template": {"spec": spec}}}
    if kind == "CronJob":
        inner = {"spec": {"jobTemplate": inner}}
    if kind == "PodTemplate":
        inner = {"template": {"spec": spec}}
    metadata = {"name": "api"} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **inner}


def shop(level: str) -> Body:
    labels = {"pod-security.kubernetes.io/enforce": level}
    metadata = {"name": "shop", "labels": labels}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


POD = workload("Pod", "v1")


@pytest.mark.parametrize(
    ("kind", "api_version"),
    [
        ("Pod", "v1"),
        ("PodTemplate", "v1"),
        ("ReplicationController", "v1"),
        ("Deployment", "apps/v1"),
        ("ReplicaSet", "apps/v1"),
        ("StatefulSet", "apps/v1"),
        ("DaemonSet", "apps/v1"),
        ("Job", "batch/v1"),
        ("CronJob", "batch/v1"),
    ],
)
def test_the_pods_of_every_workload_are_held_to_the_level(kind: str, api_version: str) -> None:
    body = workload(kind, api_version)
    assert told(body, level="baseline") == {"pod-security-host-namespaces"}
    assert all(finding.severity == "error" for finding in findings(body, level="baseline"))


def test_nothing_is_said_without_a_level() -> None:
    assert told(POD) == set()
    assert told(POD, level="privileged") == set()


def test_the_namespaces_own_label_counts_where_no_level_is_asked_for() -> None:
    assert told(POD, shop("baseline")) == {"pod-security-host-namespaces"}
    assert len(told(POD, shop("restricted"))) > 3
    assert told(POD, shop("restricted"), level="baseline") == {"pod-security-host-namespaces"}
    assert told(workload("Pod", "v1", "other"), shop("baseline")) == set()


def test_a_pod_without_a_namespace_goes_where_its_environment_says() -> None:
    lost = workload("Pod", "v1", namespace="")
    assert told(lost, shop("baseline")) == set()
    assert told(lost, shop("baseline"), namespace="shop") == {"pod-security-host-namespaces"}


def test_ephemeral_containers_count() -> None:
    extra = {"name": "debug", "image": "x:1", "securityContext": {"privileged": True}}
    spec = {"containers": [], "ephemeralContainers": [extra]}
    assert told(workload("Pod", "v1", spec=spec), level="baseline") == {"pod-security-privileged"}


def test_each_finding_names_the_place_and_the_container() -> None:
    context = {"capabilities": {"add": ["CHOWN", "SYS_ADMIN"]}}
    spec = {"containers": [{"name": "api", "image": "x:1", "securityContext": context}]}
    [finding] = findings(workload("Deployment", "apps/v1", spec=spec), level="baseline")
    path = "/spec/template/spec/containers/0/securityContext/capabilities/add/1"
    assert finding.path == path
    assert finding.message.startswith('container "api" must not include "SYS_ADMIN"')


def test_each_control_has_both_spellings_of_its_id() -> None:
    for rule in RULES:
        names = rule.counterparts["pod-security"]
        assert {name.lower() for name in names} <= set(names)
        assert all(name.startswith(("baseline:", "restricted:")) for name in names)

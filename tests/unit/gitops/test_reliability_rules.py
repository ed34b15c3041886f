"""Every reliability rule both ways: exemplary objects break none, one change breaks one."""

import copy
from typing import Any

import pytest
import yaml

from pilothouse.gitops.manifests.loader import load
from pilothouse.gitops.validation import reliability
from pilothouse.gitops.validation.object_set import ObjectSet
from pilothouse.models.findings import Finding

GONE = ...
IMAGE = "registry.invalid/shop:1.2@sha256:" + "a" * 64

POD = """
metadata: {labels: {app.kubernetes.io/name: NAME}}
spec:
  restartPolicy: RESTART
  priorityClassName: normal
  serviceAccountName: shop
  dnsConfig: {options: [{name: ndots, value: "2"}]}
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms: [{matchExpressions: [{key: pool, operator: In, values: [shop]}]}]
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 1
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector: {matchLabels: {app.kubernetes.io/name: NAME}}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: topology.kubernetes.io/zone
      whenUnsatisfiable: ScheduleAnyway
      labelSelector: {matchLabels: {app.kubernetes.io/name: NAME}}
  containers:
    - name: main
      image: IMAGE
      imagePullPolicy: Always
      env: [{name: A, value: b}]
      ports: [{name: http, containerPort: 8080}]
      lifecycle: {preStop: {sleep: {seconds: 5}}}
      livenessProbe: {httpGet: {path: /alive, port: http}}
      readinessProbe: {httpGet: {path: /ready, port: 8080}}
      resources:
        requests: {cpu: 200m, memory: 256Mi, ephemeral-storage: 1Gi}
        limits: {cpu: 200m, memory: 256Mi, ephemeral-storage: 1Gi}
"""
OBJECTS = """
{kind: Deployment, apiVersion: apps/v1, spec: {replicas: 3,
  selector: {matchLabels: {app.kubernetes.io/name: shop}}}}
---
{kind: StatefulSet, apiVersion: apps/v1, spec: {replicas: 3, serviceName: headless,
  selector: {matchLabels: {app.kubernetes.io/name: store}}}}
---
{kind: CronJob, apiVersion: batch/v1, spec: {schedule: "0 3 * * *", startingDeadlineSeconds: 600,
  concurrencyPolicy: Forbid, jobTemplate: {spec: {}}}}
---
{kind: Job, apiVersion: batch/v1, spec: {ttlSecondsAfterFinished: 600}}
---
{kind: Service, apiVersion: v1, metadata: {name: shop}, spec: {
  selector: {app.kubernetes.io/name: shop}, ports: [{port: 80, targetPort: 8080}]}}
---
{kind: Service, apiVersion: v1, metadata: {name: headless, labels: {of: store}}, spec: {
  clusterIP: None, selector: {app.kubernetes.io/name: store},
  ports: [{port: 80, targetPort: http}]}}
---
{kind: Ingress, apiVersion: networking.k8s.io/v1, metadata: {name: shop}, spec: {
  ingressClassName: nginx, rules: [{host: shop.example, http: {paths: [{path: /, pathType: Prefix,
  backend: {service: {name: shop, port: {number: 80}}}}]}}]}}
---
{kind: NetworkPolicy, apiVersion: networking.k8s.io/v1, metadata: {name: shop}, spec: {
  podSelector: {matchLabels: {app.kubernetes.io/name: shop}},
  ingress: [{from: [{podSelector: {matchLabels: {app.kubernetes.io/name: store}}}]}]}}
---
{kind: ServiceMonitor, apiVersion: monitoring.coreos.com/v1, metadata: {name: store}, spec: {
  selector: {matchLabels: {of: store}}}}
---
{kind: PodDisruptionBudget, apiVersion: policy/v1, metadata: {name: shop}, spec: {
  maxUnavailable: 1, unhealthyPodEvictionPolicy: AlwaysAllow,
  selector: {matchLabels: {app.kubernetes.io/name: shop}}}}
---
{kind: PodDisruptionBudget, apiVersion: policy/v1, metadata: {name: store}, spec: {
  maxUnavailable: 1, unhealthyPodEvictionPolicy: AlwaysAllow,
  selector: {matchLabels: {app.kubernetes.io/name: store}}}}
---
{kind: ConfigMap, apiVersion: v1, metadata: {name: settings}, data: {a: b}}
---
{kind: PersistentVolumeClaim, apiVersion: v1, metadata: {name: files}, spec: {
  accessModes: [ReadWriteMany], resources: {requests: {storage: 1Gi}}}}
---
{kind: ResourceQuota, apiVersion: v1, metadata: {name: quota}, spec: {
  hard: {pods: "20", requests.cpu: "4", limits.memory: 8Gi}}}
---
{kind: LimitRange, apiVersion: v1, metadata: {name: range}, spec: {
  limits: [{type: Container, max: {memory: 1Gi}, min: {cpu: 100m}}]}}
"""
SCALER: dict[str, Any] = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "shop"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"},
        "minReplicas": 3,
        "maxReplicas": 6,
        "metrics": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 60},
                },
            }
        ],
    },
}
WORKLOADS = {"Deployment": "shop", "StatefulSet": "store", "CronJob": "night", "Job": "once"}


def pod(name: str, restart: str) -> dict[str, Any]:
    text = POD.replace("NAME", name).replace("RESTART", restart).replace("IMAGE", IMAGE)
    return dict(yaml.safe_load(text))


def exemplary() -> dict[str, dict[str, Any]]:
    objects: dict[str, dict[str, Any]] = {}
    for body in yaml.safe_load_all(OBJECTS):
        name = WORKLOADS.get(body["kind"])
        if name:
            labels = {f"app.kubernetes.io/{key}": name for key in ("name", "instance")}
            body["metadata"] = {
                "name": name,
                "labels": labels | {"owner": "team"},
                "annotations": {"email": "team@shop.example"},
            }
            spec = body["spec"]["jobTemplate"]["spec"] if name == "night" else body["spec"]
            spec["template"] = pod(name, "OnFailure" if "Job" in body["kind"] else "Always")
        objects[f"{body['kind']}/{body['metadata']['name']}"] = body
    return objects


def change(body: Any, pointer: str, value: Any) -> None:
    """Set, add or remove one place of an object."""
    *steps, last = pointer.strip("/").split("/")
    for step in steps:
        body = body[int(step)] if isinstance(body, list) else body.setdefault(step, {})
    key: Any = int(last) if isinstance(body, list) else last.replace("~1", "/")
    if value is GONE:
        del body[key]
    elif isinstance(body, list) and key == len(body):
        body.append(value)
    else:
        body[key] = value


def findings(objects: dict[str, dict[str, Any]]) -> list[Finding]:
    loaded = load(yaml.safe_dump_all(list(objects.values())).encode(), "set.yaml")
    assert not loaded.findings
    unit = ObjectSet(loaded.manifests)
    return [finding for check in reliability.CHECKS for finding in check(unit)]


def scaled() -> dict[str, dict[str, Any]]:
    objects = exemplary()
    del objects["Deployment/shop"]["spec"]["replicas"]
    return objects | {"HorizontalPodAutoscaler/shop": copy.deepcopy(SCALER)}


@pytest.mark.parametrize("objects", [exemplary(), scaled()], ids=["plain", "scaled"])
def test_exemplary_objects_break_no_rule(objects: dict[str, dict[str, Any]]) -> None:
    assert [(f.rule, f.object, f.message) for f in findings(objects)] == []


SHOP, STORE, NIGHT, ONCE = "Deployment/shop", "StatefulSet/store", "CronJob/night", "Job/once"
SPEC = "/spec/template/spec"
APART = f"{SPEC}/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution"
MAIN = f"{SPEC}/containers/0"
LIMITS, REQUESTS = f"{MAIN}/resources/limits", f"{MAIN}/resources/requests"
BUDGET = "PodDisruptionBudget/shop"
HPA = "HorizontalPodAutoscaler/shop"
INIT = {"name": "i", "image": IMAGE, "imagePullPolicy": "Always"}
SET_RESOURCES = {"cpu": "200m", "memory": "256Mi", "ephemeral-storage": "1Gi"}
Change = tuple[str, str, Any]


def init(field: str, resource: str) -> list[Change]:
    """An init container that lacks one resource."""
    rest = {key: value for key, value in SET_RESOURCES.items() if key != resource}
    other = "limits" if field == "requests" else "requests"
    resources = {field: rest, other: dict(SET_RESOURCES)}
    return [(SHOP, f"{SPEC}/initContainers", [INIT | {"resources": resources}])]


PLAIN: dict[str, list[Change]] = {
    "image-tag-missing": [(SHOP, f"{MAIN}/image", "registry.invalid:5000/shop")],
    "image-digest-missing": [(SHOP, f"{MAIN}/image", "registry.invalid/shop:1.2")],
    "image-latest-cached": [
        (SHOP, f"{MAIN}/image", "shop:latest"),
        (SHOP, f"{MAIN}/imagePullPolicy", "IfNotPresent"),
    ],
    "image-pull-policy": [
        (SHOP, f"{MAIN}/image", "shop:1"),
        (SHOP, f"{MAIN}/imagePullPolicy", GONE),
    ],
    "image-pull-policy-implicit": [
        (SHOP, f"{MAIN}/image", "shop:latest"),
        (SHOP, f"{MAIN}/imagePullPolicy", GONE),
    ],
    "image-digest-pull-policy-implicit": [(SHOP, f"{MAIN}/imagePullPolicy", GONE)],
    "image-digest-cached": [(SHOP, f"{MAIN}/imagePullPolicy", "IfNotPresent")],
    "image-missing": [(SHOP, f"{MAIN}/image", GONE)],
    "containers-missing": [(SHOP, f"{SPEC}/containers", [])],
    "cpu-request-missing": [(SHOP, f"{REQUESTS}/cpu", GONE)],
    "memory-request-missing": [(SHOP, f"{REQUESTS}/memory", GONE)],
    "cpu-limit-missing": [(SHOP, f"{LIMITS}/cpu", GONE)],
    "memory-limit-missing": [(SHOP, f"{LIMITS}/memory", GONE)],
    "init-cpu-request-missing": init("requests", "cpu"),
    "init-memory-request-missing": init("requests", "memory"),
    "init-cpu-limit-missing": init("limits", "cpu"),
    "init-memory-limit-missing": init("limits", "memory"),
    "ephemeral-storage-missing": [(SHOP, f"{LIMITS}/ephemeral-storage", GONE)],
    "cpu-request-not-limit": [(SHOP, f"{REQUESTS}/cpu", "100m")],
    "memory-request-not-limit": [(SHOP, f"{REQUESTS}/memory", "128Mi")],
    "ephemeral-storage-request-not-limit": [(SHOP, f"{LIMITS}/ephemeral-storage", "2Gi")],
    "request-above-limit": [(SHOP, f"{REQUESTS}/memory", "0.3Gi")],
    "resource-range": [(SHOP, f"{LIMITS}/cpu", "16")],
    "liveness-probe-missing": [(SHOP, f"{MAIN}/livenessProbe", GONE)],
    "readiness-probe-missing": [(STORE, f"{SPEC}/containers/1", {"name": "side", "image": IMAGE})],
    "readiness-probe-missing-behind-service": [(SHOP, f"{MAIN}/readinessProbe", GONE)],
    "probes-identical": [
        (SHOP, f"{MAIN}/livenessProbe", {"httpGet": {"path": "/ready", "port": 8080}})
    ],
    "probe-timing": [(SHOP, f"{MAIN}/livenessProbe/timeoutSeconds", 20)],
    "liveness-probe-port": [(SHOP, f"{MAIN}/livenessProbe/httpGet/port", "metrics")],
    "readiness-probe-port": [(SHOP, f"{MAIN}/readinessProbe/httpGet/port", 9090)],
    "startup-probe-port": [(SHOP, f"{MAIN}/startupProbe", {"tcpSocket": {"port": "metrics"}})],
    "priority-class-missing": [(SHOP, f"{SPEC}/priorityClassName", GONE)],
    "service-account-field-deprecated": [(SHOP, f"{SPEC}/serviceAccount", "shop")],
    "node-affinity-missing": [(SHOP, f"{SPEC}/affinity/nodeAffinity", GONE)],
    "restart-policy-not-set": [(SHOP, f"{SPEC}/restartPolicy", GONE)],
    "grace-period-zero": [(SHOP, f"{SPEC}/terminationGracePeriodSeconds", 0)],
    "pre-stop-exceeds-grace": [
        (SHOP, f"{MAIN}/lifecycle/preStop", {"exec": {"command": ["sh", "-c", "sleep 30"]}})
    ],
    "dns-policy-host-network": [(SHOP, f"{SPEC}/hostNetwork", True)],
    "dns-options-missing": [(SHOP, f"{SPEC}/dnsConfig", GONE)],
    "env-duplicate": [(SHOP, f"{MAIN}/env/1", {"name": "A", "value": "c"})],
    "replicas-zero": [(SHOP, "/spec/replicas", 0)],
    "replicas-one": [(SHOP, "/spec/replicas", 1)],
    "replicas-two": [(SHOP, "/spec/replicas", 2)],
    "anti-affinity-missing": [(SHOP, f"{SPEC}/affinity/podAntiAffinity", GONE)],
    "anti-affinity-missing-unscaled": [
        (SHOP, f"{SPEC}/affinity/podAntiAffinity", GONE),
        (SHOP, "/spec/replicas", GONE),
    ],
    "anti-affinity-not-by-node": [
        (SHOP, f"{APART}/0/podAffinityTerm/topologyKey", "topology.kubernetes.io/zone")
    ],
    "topology-spread-selector-missing": [
        (SHOP, f"{SPEC}/topologySpreadConstraints/0/labelSelector", GONE)
    ],
    "topology-spread-invalid": [(SHOP, f"{SPEC}/topologySpreadConstraints/0/maxSkew", 0)],
    "topology-spread-missing": [(SHOP, f"{SPEC}/topologySpreadConstraints", [])],
    "topology-spread-selector": [
        (SHOP, f"{SPEC}/topologySpreadConstraints/0/labelSelector", {"matchLabels": {"a": "b"}})
    ],
    "node-name-pinned": [(SHOP, f"{SPEC}/nodeName", "node-1")],
    "pdb-missing": [(BUDGET, "/spec/selector/matchLabels", {"a": "b"})],
    "pdb-missing-statefulset": [
        ("PodDisruptionBudget/store", "/spec/selector/matchLabels", {"a": "b"})
    ],
    "pdb-missing-single": [
        (BUDGET, "/spec/selector/matchLabels", {"a": "b"}),
        (SHOP, "/spec/replicas", 1),
    ],
    "pdb-missing-unscaled": [
        (BUDGET, "/spec/selector/matchLabels", {"a": "b"}),
        (SHOP, "/spec/replicas", GONE),
    ],
    "pdb-missing-statefulset-unscaled": [
        ("PodDisruptionBudget/store", "/spec/selector/matchLabels", {"a": "b"}),
        (STORE, "/spec/replicas", GONE),
    ],
    "pdb-max-unavailable-zero": [(BUDGET, "/spec/maxUnavailable", "0%")],
    "pdb-min-available-all": [
        (BUDGET, "/spec/maxUnavailable", GONE),
        (BUDGET, "/spec/minAvailable", "100%"),
    ],
    "pdb-min-available-replicas": [
        (BUDGET, "/spec/maxUnavailable", GONE),
        (BUDGET, "/spec/minAvailable", 3),
    ],
    "pdb-empty": [(BUDGET, "/spec/maxUnavailable", GONE)],
    "pdb-unhealthy-eviction": [(BUDGET, "/spec/unhealthyPodEvictionPolicy", GONE)],
    "quota-exceeded": [("ResourceQuota/quota", "/spec/hard/requests.cpu", "1")],
    "limit-range-exceeded": [("LimitRange/range", "/spec/limits/0/max/memory", "128Mi")],
    "update-strategy": [(SHOP, "/spec/strategy", {"type": "Recreate"})],
    "update-strategy-stuck": [
        (SHOP, "/spec/strategy", {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}})
    ],
    "revision-history-zero": [(SHOP, "/spec/revisionHistoryLimit", 0)],
    "volume-shared-once": [
        (SHOP, f"{SPEC}/volumes", [{"name": "f", "persistentVolumeClaim": {"claimName": "files"}}]),
        ("PersistentVolumeClaim/files", "/spec/accessModes", ["ReadWriteOnce"]),
    ],
    "statefulset-service-missing": [("Service/headless", "/spec/clusterIP", GONE)],
    "cronjob-deadline-missing": [(NIGHT, "/spec/startingDeadlineSeconds", GONE)],
    "cronjob-concurrency": [(NIGHT, "/spec/concurrencyPolicy", "Allow")],
    "job-restart-policy": [(NIGHT, f"/spec/jobTemplate{SPEC}/restartPolicy", "Always")],
    "job-ttl-missing": [(ONCE, "/spec/ttlSecondsAfterFinished", GONE)],
    "service-selector-missing": [("Service/shop", "/spec/selector", GONE)],
    "service-port-undeclared": [("Service/shop", "/spec/ports/0/targetPort", 9090)],
    "ingress-path-clash": [
        (
            "Ingress/shop",
            "/spec/rules/1",
            {"host": "shop.example", "http": {"paths": [{"path": "/", "pathType": "Prefix"}]}},
        )
    ],
    "ingress-class-missing": [("Ingress/shop", "/spec/ingressClassName", GONE)],
    "network-policy-selects-nothing": [
        ("NetworkPolicy/shop", "/spec/podSelector/matchLabels", {"a": "b"})
    ],
    "network-policy-peer-selects-nothing": [
        ("NetworkPolicy/shop", "/spec/ingress/0/from/0/podSelector/matchLabels", {"a": "b"})
    ],
    "service-monitor-selects-nothing": [
        ("ServiceMonitor/store", "/spec/selector/matchLabels", {"a": "b"})
    ],
    "labels-missing": [(ONCE, "/spec/template/metadata/labels", {"x": "y"})],
    "labels-recommended-missing": [(SHOP, "/metadata/labels", {"owner": "team"})],
    "label-instance-mismatch": [(SHOP, "/metadata/labels/app.kubernetes.io~1instance", "other")],
    "label-name-mismatch": [(STORE, "/metadata/labels/app.kubernetes.io~1name", "other")],
    "label-owner-missing": [(SHOP, "/metadata/labels/owner", GONE)],
    "annotation-email-missing": [(SHOP, "/metadata/annotations/email", "the team")],
    "label-invalid": [(SHOP, "/metadata/labels/owner", "the team")],
    "name-invalid": [(NIGHT, "/metadata/name", "n" * 53)],
    "port-number-invalid": [(SHOP, f"{MAIN}/ports/1", {"containerPort": 65536})],
    "port-name-invalid": [(SHOP, f"{MAIN}/ports/1", {"name": "Web_Port", "containerPort": 1})],
    "data-too-large": [("ConfigMap/settings", "/data/a", "x" * 1_500_000)],
    "api-version-deprecated": [
        (
            "Endpoints/old",
            "",
            {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "old"}},
        )
    ],
    "naked-pod": [
        (
            "Pod/alone",
            "",
            {"apiVersion": "v1", "kind": "Pod", **pod("alone", "Always")}
            | {"metadata": {"name": "alone"}},
        )
    ],
}
SCALED: dict[str, list[Change]] = {
    "pdb-above-autoscaler": [
        (BUDGET, "/spec/maxUnavailable", GONE),
        (BUDGET, "/spec/minAvailable", 4),
    ],
    "hpa-max-not-above-min": [(HPA, "/spec/maxReplicas", 3)],
    "hpa-min-above-max": [(HPA, "/spec/maxReplicas", 2)],
    "hpa-min-one": [(HPA, "/spec/minReplicas", 1)],
    "hpa-min-unset": [(HPA, "/spec/minReplicas", GONE)],
    "hpa-min-below-three": [(HPA, "/spec/minReplicas", 2)],
    "hpa-replicas-set": [(SHOP, "/spec/replicas", 3)],
    "hpa-request-missing": [(SHOP, f"{MAIN}/resources", {})],
}


def broken(objects: dict[str, dict[str, Any]], changes: list[Change]) -> list[Finding]:
    for target, pointer, value in changes:
        if pointer:
            change(objects[target], pointer, copy.deepcopy(value))
        else:
            objects[target] = value
    return findings(objects)


@pytest.mark.parametrize("rule", PLAIN)
def test_a_change_breaks_its_rule(rule: str) -> None:
    found = broken(exemplary(), PLAIN[rule])
    about = {change_[0] for change_ in PLAIN[rule]} | {"LimitRange/range", SHOP, NIGHT, STORE, ONCE}
    hits = [f for f in found if f.rule == rule]
    assert hits
    assert all(f.line and f.message and f.fix for f in hits)
    assert {f.object for f in hits} <= about | {f"CronJob/{'n' * 53}"}


@pytest.mark.parametrize("rule", SCALED)
def test_a_change_breaks_its_rule_under_an_autoscaler(rule: str) -> None:
    found = broken(scaled(), SCALED[rule])
    assert [f.object for f in found if f.rule == rule]


def test_every_rule_is_tested_and_ids_are_unique() -> None:
    ids = [rule.id for rule in reliability.RULES]
    assert len(ids) == len(set(ids))
    assert set(ids) == {*PLAIN, *SCALED}


def test_only_what_never_works_is_an_error() -> None:
    assert {rule.id for rule in reliability.RULES if rule.severity == "error"} == {
        "containers-missing",
        "data-too-large",
        "image-missing",
        "hpa-min-above-max",
        "job-restart-policy",
        "label-invalid",
        "name-invalid",
        "port-name-invalid",
        "port-number-invalid",
        "request-above-limit",
        "topology-spread-invalid",
        "update-strategy-stuck",
    }


def test_one_image_is_told_about_its_pull_policy_once() -> None:
    rules = {
        "image-latest-cached",
        "image-pull-policy",
        "image-pull-policy-implicit",
        "image-digest-cached",
        "image-digest-pull-policy-implicit",
    }
    for image in ("shop", "shop:latest", "shop:1", IMAGE):
        for policy in (GONE, "Always", "IfNotPresent"):
            changes = [(SHOP, f"{MAIN}/image", image), (SHOP, f"{MAIN}/imagePullPolicy", policy)]
            assert len([f for f in broken(exemplary(), changes) if f.rule in rules]) <= 1


def test_a_request_that_the_limit_stands_in_for_is_a_note() -> None:
    found = broken(exemplary(), PLAIN["memory-request-missing"])
    assert {f.severity for f in found if f.rule == "memory-request-missing"} == {"info"}
    found = broken(exemplary(), [(SHOP, f"{MAIN}/resources", {})])
    assert {f.severity for f in found if f.rule == "memory-request-missing"} == {"warning"}


@pytest.mark.parametrize(
    ("value", "refused"),
    [
        ("50%", False),
        ("66%", False),
        ("67%", True),
        ("100%", True),
        ("150%", True),
        (2, False),
        (3, True),
    ],
)
def test_budgets_are_counted_as_the_controller_counts_them(value: object, refused: bool) -> None:
    changes = [(BUDGET, "/spec/maxUnavailable", GONE), (BUDGET, "/spec/minAvailable", value)]
    rules = {"pdb-min-available-replicas", "pdb-min-available-all"}
    assert bool([f for f in broken(exemplary(), changes) if f.rule in rules]) is refused


def test_pods_that_are_kept_in_different_zones_are_on_different_nodes() -> None:
    changes = PLAIN["anti-affinity-not-by-node"]
    assert "anti-affinity-missing" not in {f.rule for f in broken(exemplary(), changes)}


@pytest.mark.parametrize("selector", [GONE, {"matchLabels": {"a": "b"}}])
def test_a_term_that_means_no_pods_of_the_workload_keeps_none_apart(selector: object) -> None:
    changes = [(SHOP, f"{APART}/0/podAffinityTerm/labelSelector", selector)]
    assert "anti-affinity-missing" in {f.rule for f in broken(exemplary(), changes)}


@pytest.mark.parametrize(("version", "selected"), [("policy/v1", True), ("policy/v1beta1", False)])
def test_a_budget_with_an_empty_selector_is_for_all_pods(version: str, selected: bool) -> None:
    changes = [(BUDGET, "/spec/selector", {}), (BUDGET, "/apiVersion", version)]
    found = {f.rule for f in broken(exemplary(), changes)}
    assert ("pdb-missing" not in found) is selected


def test_a_headless_service_of_other_pods_gives_a_statefulset_no_names() -> None:
    changes = [("Service/headless", "/spec/selector", {"a": "b"})]
    assert "statefulset-service-missing" in {f.rule for f in broken(exemplary(), changes)}

"""References between objects: what one names is there, and selectors select."""

import re
from pathlib import Path

import pytest

import pilothouse
from pilothouse.gitops.manifests.loader import LoadedManifest, load
from pilothouse.gitops.validation import exceptions, pod_security, reliability, security
from pilothouse.gitops.validation.object_set import ObjectSet
from pilothouse.gitops.validation.policy_rules import POLICY_RULES
from pilothouse.gitops.validation.references import check_references
from pilothouse.gitops.validation.rules import RULES
from pilothouse.gitops.validation.units import units_of
from pilothouse.models.findings import Finding
from pilothouse.models.objects import ObjectRef

POD = """apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
"""
CONTAINER = """      containers:
      - name: api
        ports: [{name: http, containerPort: 80}]
"""
CONFIG = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: x}\n"


def objects(text: str) -> tuple[LoadedManifest, ...]:
    loaded = load(text.encode(), "a.yaml")
    assert not loaded.findings, loaded.findings
    return loaded.manifests


def check(text: str) -> list[Finding]:
    return check_references(ObjectSet(objects(text)))


def found(text: str) -> list[tuple[str, str]]:
    return [(finding.rule, finding.severity) for finding in check(text)]


def service(spec: str) -> str:
    return f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: web}}\nspec: {spec}\n"


@pytest.mark.parametrize(
    ("spec", "rule", "path"),
    [
        ("      serviceAccountName: robot\n", "reference-serviceaccount", "/serviceAccountName"),
        (
            "      imagePullSecrets: [{name: pull}]\n",
            "reference-secret",
            "/imagePullSecrets/0/name",
        ),
        (
            "        env: [{name: A, valueFrom: {configMapKeyRef: {name: c, key: k}}}]\n",
            "reference-configmap",
            "/containers/0/env/0/valueFrom/configMapKeyRef/name",
        ),
        (
            "        env: [{name: A, valueFrom: {secretKeyRef: {name: c, key: k}}}]\n",
            "reference-secret",
            "/containers/0/env/0/valueFrom/secretKeyRef/name",
        ),
        (
            "        envFrom: [{configMapRef: {name: c}}]\n",
            "reference-configmap",
            "/containers/0/envFrom/0/configMapRef/name",
        ),
        (
            "        envFrom: [{secretRef: {name: c}}]\n",
            "reference-secret",
            "/containers/0/envFrom/0/secretRef/name",
        ),
        (
            "      volumes: [{name: v, configMap: {name: c}}]\n",
            "reference-configmap",
            "/volumes/0/configMap/name",
        ),
        (
            "      volumes: [{name: v, secret: {secretName: c}}]\n",
            "reference-secret",
            "/volumes/0/secret/secretName",
        ),
        (
            "      volumes: [{name: v, projected: {sources: [{secret: {name: c}}]}}]\n",
            "reference-secret",
            "/volumes/0/projected/sources/0/secret/name",
        ),
        (
            "      volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]\n",
            "reference-pvc",
            "/volumes/0/persistentVolumeClaim/claimName",
        ),
    ],
)
def test_a_missing_object_is_a_warning_until_the_cluster_is_known(
    spec: str, rule: str, path: str
) -> None:
    manifests = objects(POD + CONTAINER + spec)
    [finding] = check_references(ObjectSet(manifests))
    assert (finding.rule, finding.severity) == (rule, "warning")
    assert finding.path == f"/spec/template/spec{path}"
    asked: list[ObjectRef] = []

    def absent(ref: ObjectRef) -> bool:
        asked.append(ref)
        return False

    [finding] = check_references(ObjectSet(manifests, absent))
    assert finding.severity == "error"
    assert len(asked) == 1
    assert check_references(ObjectSet(manifests, lambda ref: True)) == []


@pytest.mark.parametrize(
    "spec",
    [
        "        envFrom: [{configMapRef: {name: c, optional: true}}]\n",
        "      volumes: [{name: v, secret: {secretName: c, optional: true}}]\n",
        "      volumes: [{name: v, configMap: {name: kube-root-ca.crt}}]\n",
        "      serviceAccountName: default\n",
        "      volumes: [{name: v, emptyDir: {}}]\n        \n",
    ],
)
def test_optional_and_built_in_objects_need_not_be_there(spec: str) -> None:
    assert found(POD + CONTAINER + spec) == []


def test_an_object_in_the_set_is_found_and_its_keys_are_checked() -> None:
    use = (
        "        env: [{{name: A, valueFrom: {{configMapKeyRef: {{name: settings, key: {}}}}}}}]\n"
    )
    assert found(POD + CONTAINER + use.format("a") + CONFIG) == []
    [finding] = check(POD + CONTAINER + use.format("b") + CONFIG)
    assert (finding.rule, finding.severity) == ("reference-key", "error")
    assert 'no key "b"; its keys: a' in finding.message


def test_an_object_of_another_namespace_does_not_count() -> None:
    pod = POD.replace("{name: api}", "{name: api, namespace: one}", 1)
    use = "        envFrom: [{configMapRef: {name: settings}}]\n"
    elsewhere = CONFIG.replace("name: settings", "name: settings, namespace: two")
    assert found(pod + CONTAINER + use + elsewhere) == [("reference-configmap", "warning")]


def test_a_secret_that_an_operator_makes_counts() -> None:
    made = "---\napiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: x}\n"
    use = "      volumes: [{name: v, secret: {secretName: tls}}]\n"
    assert found(POD + CONTAINER + use + made + "spec: {secretName: tls}\n") == []
    assert found(POD + CONTAINER + use + made + "spec: {secretName: other}\n") == [
        ("reference-secret", "warning")
    ]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{selector: {app: api}, ports: [{port: 80, targetPort: http}]}", []),
        ("{selector: {app: api}, ports: [{port: 80, targetPort: 8080}]}", []),
        (
            "{selector: {app: api}, ports: [{port: 80, targetPort: web}]}",
            [("reference-port", "error")],
        ),
        ("{selector: {app: other}}", [("selector-empty", "warning")]),
        ("{clusterIP: None}", []),
        ("{type: ExternalName, selector: {app: other}}", []),
    ],
)
def test_a_service_selects_pods_and_their_ports(spec: str, expected: list[tuple[str, str]]) -> None:
    assert found(POD + CONTAINER + service(spec)) == expected


def test_pods_that_an_operator_makes_are_not_called_missing() -> None:
    made = """---
apiVersion: monitoring.example.com/v1
kind: Prometheus
metadata: {name: p, labels: {app: prometheus}}
"""
    assert found(service("{selector: {app: prometheus}}") + made) == []


INGRESS = """---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i}
spec:
  rules:
  - http:
      paths:
      - backend: {service: {name: NAME, port: PORT}}
"""


@pytest.mark.parametrize(
    ("name", "port", "expected"),
    [
        ("web", "{number: 80}", []),
        ("web", "{name: http}", []),
        ("web", "{number: 81}", [("reference-service-port", "error")]),
        ("web", "{name: nope}", [("reference-service-port", "error")]),
        ("absent", "{number: 80}", [("reference-service", "warning")]),
    ],
)
def test_an_ingress_names_a_service_and_its_port(
    name: str, port: str, expected: list[tuple[str, str]]
) -> None:
    web = service("{selector: {app: api}, ports: [{name: http, port: 80}]}")
    ingress = INGRESS.replace("NAME", name).replace("PORT", port)
    assert found(POD + CONTAINER + web + ingress) == expected


SCALER = """---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: h}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: NAME}}
"""
BUDGET = """---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: b}
spec: {selector: {matchExpressions: [{key: app, operator: In, values: [NAME]}]}}
"""


@pytest.mark.parametrize(
    ("text", "rule"), [(SCALER, "reference-scale-target"), (BUDGET, "selector-empty")]
)
def test_autoscalers_and_budgets_have_a_target(text: str, rule: str) -> None:
    assert found(POD + CONTAINER + text.replace("NAME", "api")) == []
    assert found(POD + CONTAINER + text.replace("NAME", "x")) == [(rule, "warning")]


def test_a_selector_that_misses_its_own_pods_is_an_error() -> None:
    text = POD.replace("matchLabels: {app: api}", "matchLabels: {app: web}") + CONTAINER
    [finding] = check(text)
    assert (finding.rule, finding.severity, finding.line) == ("selector-mismatch", "error", 5)


BINDING = """apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: b}
roleRef: {kind: KIND, name: NAME}
subjects: [{kind: ServiceAccount, name: ACCOUNT}]
"""


@pytest.mark.parametrize(
    ("kind", "name", "account", "rules"),
    [
        ("ClusterRole", "view", "default", []),
        ("ClusterRole", "system:auth-delegator", "default", []),
        ("Role", "reader", "default", ["reference-role"]),
        ("ClusterRole", "reader", "default", ["reference-role"]),
        ("ClusterRole", "view", "robot", ["reference-subject"]),
    ],
)
def test_a_binding_names_a_role_and_accounts(
    kind: str, name: str, account: str, rules: list[str]
) -> None:
    text = BINDING.replace("KIND", kind).replace("NAME", name).replace("ACCOUNT", account)
    assert [rule for rule, _ in found(text)] == rules
    assert all(severity == "warning" for _, severity in found(text))


def test_a_mount_needs_a_volume_of_the_pod() -> None:
    mount = "        volumeMounts: [{name: data, mountPath: /data}]\n"
    [finding] = check(POD + CONTAINER + mount)
    assert (finding.rule, finding.severity) == ("volume-missing", "error")
    assert found(POD + CONTAINER + mount + "      volumes: [{name: data}]\n") == []
    claims = POD.replace("Deployment", "StatefulSet").replace(
        "  template:", "  volumeClaimTemplates: [{metadata: {name: data}}]\n  template:"
    )
    assert found(claims + CONTAINER + mount) == []


def test_names_inside_a_pod_are_unique() -> None:
    twice = CONTAINER + "      - name: api\n        ports: [{name: a}, {name: a}]\n"
    volumes = "      volumes: [{name: v}, {name: v}]\n"
    findings = check(POD + twice + volumes)
    assert sorted(f.rule for f in findings) == ["duplicate-name"] * 2 + ["duplicate-port-name"]
    assert {f.path.removeprefix("/spec/template/spec") for f in findings} == {
        "/containers/1/name",
        "/containers/1/ports/1/name",
        "/volumes/1/name",
    }


def test_a_cron_jobs_pods_are_checked_too() -> None:
    text = """apiVersion: batch/v1
kind: CronJob
metadata: {name: c}
spec:
  jobTemplate:
    spec:
      template:
        spec: {serviceAccountName: robot}
"""
    [finding] = check(text)
    assert finding.path == "/spec/jobTemplate/spec/template/spec/serviceAccountName"
    assert finding.line == 8


@pytest.mark.parametrize("junk", ["5", "text", "[]", "{a: [1]}", "[{a: 1}, null, 5]", "null"])
def test_shapes_that_the_schema_refuses_do_not_stop_the_references(junk: str) -> None:
    for kind, group in (
        ("Deployment", "apps/v1"),
        ("Service", "v1"),
        ("Ingress", "networking.k8s.io/v1"),
        ("RoleBinding", "rbac.authorization.k8s.io/v1"),
        ("HorizontalPodAutoscaler", "autoscaling/v2"),
        ("PodDisruptionBudget", "policy/v1"),
    ):
        for field in ("spec", "subjects", "roleRef"):
            text = f"apiVersion: {group}\nkind: {kind}\nmetadata: {{name: x}}\n{field}: {junk}\n"
            assert isinstance(check(text), list)
    for inner in ("containers", "volumes", "imagePullSecrets", "serviceAccountName"):
        assert isinstance(check(f"{POD}      {inner}: {junk}\n"), list)


def test_alternatives_with_the_same_names_are_units_of_their_own() -> None:
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
    files = ("a/x.yaml", "a/one/x.yaml", "b/x.yaml", "b/z.yaml", "top.yaml")
    manifests = [m for file in files for m in load(body, file).manifests]
    units = [[m.manifest.file for m in unit] for unit in units_of(manifests)]
    assert units == [["a/x.yaml"], ["a/one/x.yaml"], ["b/x.yaml"], ["b/z.yaml"], ["top.yaml"]]
    distinct = load(body.replace(b"name: c", b"name: d"), "b/other.yaml").manifests
    together = [[m.manifest.file for m in u] for u in units_of([*manifests[:1], *distinct])]
    assert together == [["a/x.yaml", "b/other.yaml"]]


def test_every_rule_that_is_reported_is_registered_and_the_other_way_round() -> None:
    root = Path(pilothouse.__file__).parent
    sources = [
        *(root / "gitops" / "manifests").rglob("*.py"),
        *(root / "gitops" / "validation").glob("*.py"),
        root / "gitops" / "pipeline_file.py",
        root / "clients" / "folder.py",
    ]
    known = {rule.id for rule in RULES}
    assert len(known) == len(RULES)
    # These stand beside the checks that report them, and each has a case in a test of its own.
    beside = (pod_security, security, reliability, exceptions)
    practices = {rule.id for room in beside for rule in room.RULES}
    practices |= {rule.id for rule in POLICY_RULES}
    emitting = [path for path in sources if not path.stem.endswith("rules")]
    quoted = {
        word
        for path in emitting
        for word in re.findall(r'"([a-z]+(?:-[a-z]+)*)"', path.read_text())
    }
    assert known - practices <= quoted
    called = re.compile(r'(?:rule=|finding\(|_report\(|_note\(|_bound\()\s*"([a-z-]+)"')
    emitted = {word for path in emitting for word in called.findall(path.read_text())}
    assert len(emitted) > 30
    assert emitted <= known

"""Objects against the schemas of their kinds, in people's words."""

import pytest

from pilothouse.clients.schemas import BuiltInSchemas, built_in_schemas
from pilothouse.gitops.manifests.loader import load
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models.errors import PermanentError
from pilothouse.models.findings import Finding

SCHEMAS = SchemaCheck(built_in_schemas())
DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
spec:
  replicas: 1
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      containers:
      - name: api
        image: example
        ports:
        - containerPort: 80
"""
CRD = """apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, maximum: 10}
              mode: {type: string, enum: [fast, slow]}
              port: {x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}]}
              note: {type: string, nullable: true}
              free:
                type: object
                x-kubernetes-preserve-unknown-fields: true
                properties: {a: {type: string}}
              labels: {type: object, additionalProperties: {type: string}}
              inner:
                type: object
                x-kubernetes-embedded-resource: true
                properties: {spec: {type: object}}
  - name: v0
    served: false
    storage: false
    schema: {openAPIV3Schema: {type: object}}
---
"""


def check(text: str) -> list[Finding]:
    loaded = load(text.encode(), "a.yaml")
    assert not loaded.findings
    return SCHEMAS.check(loaded.manifests)


def widget(spec: str, version: str = "v1") -> list[Finding]:
    body = f"apiVersion: example.com/{version}\nkind: Widget\nmetadata: {{name: w}}\nspec: {spec}\n"
    return check(CRD + body)


def test_a_good_object_has_no_finding() -> None:
    assert check(DEPLOYMENT) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "message", "fix"),
    [
        (
            "replicas: 1",
            "replicas: three",
            6,
            "/spec/replicas",
            'replicas: expected an integer, got a string ("three")',
            "Write an integer.",
        ),
        (
            "replicas: 1",
            'replicas: "3"',
            6,
            "/spec/replicas",
            'replicas: expected an integer, got a string ("3")',
            "Remove the quotes.",
        ),
        (
            "replicas: 1",
            "replica: 1",
            6,
            "/spec/replica",
            'unknown field "replica" (did you mean "replicas"?)',
            "Write replicas.",
        ),
        (
            "image: example",
            "Image: example",
            13,
            "/spec/template/spec/containers/0/Image",
            'unknown field "Image" (did you mean "image"?)',
            "Write image.",
        ),
        (
            "  selector: {matchLabels: {app: api}}\n",
            "",
            5,
            "/spec/selector",
            'required field "selector" is missing',
            "Add selector.",
        ),
        (
            "replicas: 1",
            "containers: []",
            6,
            "/spec/containers",
            'unknown field "containers" (it belongs in spec.template.spec)',
            "Move it to spec.template.spec.",
        ),
        (
            "image: example",
            "env: [{name: A, value: true}]",
            13,
            "/spec/template/spec/containers/0/env/0/value",
            "value: expected a string, got a boolean (true)",
            "Put the value in quotes.",
        ),
        (
            "replicas: 1",
            "strategy: {rollingUpdate: {maxSurge: []}}",
            6,
            "/spec/strategy/rollingUpdate/maxSurge",
            "maxSurge: expected an integer or a string, got a list",
            "Write an integer or a string.",
        ),
    ],
)
def test_an_error_names_line_path_and_fix(
    old: str, new: str, line: int, path: str, message: str, fix: str
) -> None:
    findings = check(DEPLOYMENT.replace(old, new))
    [finding] = [f for f in findings if f.path == path]
    assert (finding.rule, finding.severity, finding.file) == ("schema", "error", "a.yaml")
    assert (finding.line, finding.object) == (line, "Deployment/api")
    assert (finding.message, finding.fix) == (message, fix)


def test_all_errors_of_an_object_are_told_at_once() -> None:
    text = DEPLOYMENT.replace("replicas: 1", "replicas: x").replace("image: example", "imag: 5")
    text = text.replace("containerPort: 80", "containerPort: '80'")
    assert {f.path for f in check(text)} == {
        "/spec/replicas",
        "/spec/template/spec/containers/0/imag",
        "/spec/template/spec/containers/0/ports/0/containerPort",
    }


def test_null_is_no_error_where_the_api_server_takes_it() -> None:
    text = DEPLOYMENT.replace("replicas: 1", "strategy: {rollingUpdate: {maxSurge: null}}")
    assert check(text.replace("name: api\n", "name: api\n  creationTimestamp: null\n", 1)) == []


@pytest.mark.parametrize(
    ("api_version", "kind", "message"),
    [
        (
            "extensions/v1beta1",
            "Ingress",
            "extensions/v1beta1 Ingress is not in Kubernetes 1.36; use networking.k8s.io/v1",
        ),
        ("apps/v1beta1", "Deployment", "is not in Kubernetes 1.36; use apps/v1"),
        ("v1", "Deployment", "v1 Deployment is not in Kubernetes 1.36; use apps/v1"),
        ("apps/v1", "Deploymnet", 'did you mean "Deployment"'),
        ("policy/v1beta1", "PodSecurityPolicy", "is not in Kubernetes 1.36"),
        ("autoscaling/v2beta2", "HorizontalPodAutoscaler", "use autoscaling/v2"),
    ],
)
def test_what_the_cluster_no_longer_serves_is_an_error(
    api_version: str, kind: str, message: str
) -> None:
    [finding] = check(f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: x}}\n")
    assert (finding.rule, finding.severity, finding.path) == ("api-version", "error", "/apiVersion")
    assert message in finding.message


def test_a_custom_kind_without_schema_is_said_once_and_no_error() -> None:
    one = "apiVersion: example.com/v1\nkind: Gadget\nmetadata: {name: a}\n"
    [finding] = check(one + "---\n" + one.replace("name: a", "name: b"))
    assert (finding.rule, finding.severity) == ("schema-unknown", "info")
    assert "2 objects" in finding.message


@pytest.mark.parametrize(
    "spec",
    [
        "{size: 1}",
        "{size: 1, port: 80}",
        "{size: 1, port: http}",
        "{size: 1, note: null}",
        "{size: 1, free: {a: x, b: {c: 1}}}",
        "{size: 1, labels: {any: thing}}",
        "{size: 1, inner: {apiVersion: v1, kind: X, metadata: {}, spec: {}}}",
    ],
)
def test_a_custom_resource_fits_the_crd_of_its_set(spec: str) -> None:
    assert widget(spec) == []


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{}", 'required field "size" is missing'),
        ("{size: big}", 'size: expected an integer, got a string ("big")'),
        ("{size: 11}", "breaks the rule maximum 10"),
        ("{size: 1, siz: 2}", 'unknown field "siz" (did you mean "size"?)'),
        ("{size: 1, mode: fats}", 'did you mean "fast"'),
        ("{size: 1, port: []}", "port: expected an integer or a string, got a list"),
        ("{size: 1, labels: {a: 1}}", "a: expected a string, got an integer (1)"),
        ("{size: 1, inner: {x: 1}}", 'unknown field "x"'),
        ("{size: 1, mode: null}", "got null"),
    ],
)
def test_a_custom_resource_is_checked_by_the_crd_of_its_set(spec: str, message: str) -> None:
    findings = widget(spec)
    assert len(findings) == 1
    assert message in findings[0].message
    assert findings[0].rule == "schema"


def test_a_version_that_the_crd_does_not_serve_is_an_error() -> None:
    [finding] = widget("{size: 1}", "v0")
    assert finding.rule == "api-version"
    assert "use example.com/v1" in finding.message


def test_a_crd_with_an_unusable_schema_is_a_warning_and_not_a_crash() -> None:
    broken = CRD.replace("{type: integer, maximum: 10}", "{type: string, pattern: '['}")
    body = "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {size: 1}\n"
    findings = check(broken + body)
    assert [f.rule for f in findings if f.object == "Widget/w"] == ["crd-schema"]


def test_a_secrets_values_are_never_repeated() -> None:
    text = """apiVersion: v1
kind: Secret
metadata: {name: s}
type: [hunter2]
data: {a: not-base64-hunter2, b: 42424242}
stringData: {c: 13371337}
"""
    findings = check(text)
    assert {f.path for f in findings} == {"/type", "/data/a", "/data/b", "/stringData/c"}
    assert not any(
        secret in f.model_dump_json()
        for f in findings
        for secret in ("hunter2", "42424242", "13371337")
    )


def test_the_nearest_known_version_is_taken() -> None:
    assert built_in_schemas("1.36").version == "1.36"
    assert built_in_schemas("v1.30.4").version == "1.30"
    assert built_in_schemas("1.2").version == "1.25"
    assert int(built_in_schemas("1.99").version.split(".")[1]) >= 37


@pytest.mark.parametrize("version", ["", "latest", "2.0", "1", "1.36; rm"])
def test_a_version_that_is_none_is_refused(version: str) -> None:
    with pytest.raises(PermanentError, match="no version of Kubernetes"):
        built_in_schemas(version)


def test_every_built_in_kind_compiles_and_refuses_an_unknown_field() -> None:
    source: BuiltInSchemas = built_in_schemas()
    kinds = [
        (api_version, kind)
        for api_version in ("v1", "apps/v1", "batch/v1", "networking.k8s.io/v1", "policy/v1")
        for kind in source.kinds(api_version)
        if not kind.endswith(("List", "Options", "Event"))
    ]
    assert len(kinds) > 30
    for api_version, kind in kinds:
        body = f"apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: x}}\nbogus: 1\n"
        assert any('unknown field "bogus"' in finding.message for finding in check(body)), kind

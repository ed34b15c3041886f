"""Placeholders in what Kustomize builds, with Kustomize itself."""

import base64
from collections.abc import Mapping

import pytest
from pydantic import JsonValue

from pilothouse.clients.kustomize import build_kustomization
from pilothouse.gitops.manifests.render import Rendered, render
from pilothouse.gitops.pipeline_file import parse_pipeline

PIPELINE = b"pipeline: {agents: {d: {trigger: manual}}, environments: {staging: {namespace: team}}}"
DEPLOYMENT = b"""apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  replicas: 1
  template:
    spec:
      containers:
      - name: api
        image: team/api
        envFrom: [{configMapRef: {name: settings}}]
        ports: [{containerPort: {{port}}}]
        env: [{name: PORT, value: "{{port}}"}]
"""
KUSTOMIZATION = b"""resources: [deployment.yaml]
configMapGenerator:
- name: settings
  files: [app.conf]
  envs: [app.env]
  literals: ['greeting={{ greeting }}']
secretGenerator:
- name: login
  literals: ['password={{password}}']
replicas: [{name: api, count: {{replicas}}}]
images: [{name: team/api, newTag: "{{version}}"}]
labels: [{pairs: {release: "{{version}}"}}]
"""
VALUES = b'greeting: hello\npassword: s3cret\nport: 8080\nreplicas: 3\nversion: 1.10\nmode: "on"\n'
FILES = {
    "configs/base.yaml": VALUES,
    "manifests/app.conf": b"listen {{port}}\n\n# {{greeting}}\n",
    "manifests/app.env": b"MODE={{mode}}\n",
    "manifests/deployment.yaml": DEPLOYMENT,
    "manifests/kustomization.yaml": KUSTOMIZATION,
}


def rendered(files: Mapping[str, bytes]) -> Rendered:
    pipeline, findings = parse_pipeline(PIPELINE)
    assert pipeline is not None, findings
    return render(files, pipeline, "staging", build_kustomization)


def one(result: Rendered, kind: str) -> dict[str, JsonValue]:
    assert [f for f in result.findings if f.severity == "error"] == []
    (found,) = [manifest.body for manifest in result.manifests if manifest.ref.kind == kind]
    return found


def name_of(result: Rendered, kind: str) -> str:
    metadata = one(result, kind)["metadata"]
    assert isinstance(metadata, dict)
    return str(metadata["name"])


def test_generators_read_values_and_the_build_keeps_their_types() -> None:
    result = rendered(FILES)

    assert one(result, "ConfigMap")["data"] == {
        "MODE": "on",
        "app.conf": "listen 8080\n\n# hello\n",
        "greeting": "hello",
    }
    password = base64.b64encode(b"s3cret").decode()
    assert one(result, "Secret")["data"] == {"password": password}
    spec = one(result, "Deployment")["spec"]
    assert isinstance(spec, dict)
    assert spec["replicas"] == 3
    text = str(spec["template"])
    assert "'image': 'team/api:1.10'" in text
    assert "{'containerPort': 8080}" in text
    assert "{'name': 'PORT', 'value': '8080'}" in text
    assert name_of(result, "ConfigMap") in text


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (b"port: 8080", b"port: 9090", "ConfigMap"),
        (b"greeting: hello", b"greeting: goodbye", "ConfigMap"),
        (b'mode: "on"', b'mode: "off"', "ConfigMap"),
        (b"password: s3cret", b"password: another", "Secret"),
    ],
)
def test_a_changed_value_is_a_changed_name_so_that_pods_restart(
    old: bytes, new: bytes, kind: str
) -> None:
    changed = FILES | {"configs/base.yaml": VALUES.replace(old, new)}
    other = {"ConfigMap": "Secret", "Secret": "ConfigMap"}[kind]
    assert name_of(rendered(FILES), kind) != name_of(rendered(changed), kind)
    assert name_of(rendered(FILES), other) == name_of(rendered(changed), other)


@pytest.mark.parametrize(
    "patch",
    [
        b"patches:\n- patch: |-\n    apiVersion: v1\n    kind: ConfigMap\n"
        b"    metadata: {name: settings}\n    data: {extra: '{{extra}}'}\n",
        b"patches: [{path: patch.yaml}]\n",
    ],
)
def test_a_value_in_a_patch_is_typed_and_changes_the_name_too(patch: bytes) -> None:
    files = FILES | {
        "manifests/kustomization.yaml": KUSTOMIZATION + patch,
        "manifests/patch.yaml": b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"
        b"data: {extra: '{{ extra }}'}\n",
    }
    results = [
        rendered(files | {"configs/base.yaml": VALUES + extra})
        for extra in (b"extra: 1\n", b"extra: 2\n")
    ]
    data = [one(result, "ConfigMap")["data"] for result in results]
    assert [each["extra"] for each in data if isinstance(each, dict)] == ["1", "2"]
    first, second = (name_of(result, "ConfigMap") for result in results)
    assert first != second


@pytest.mark.parametrize(
    ("path", "text", "line", "rule"),
    [
        ("manifests/app.conf", b"a\nb\n{{absent}}\n", 3, "value-missing"),
        ("manifests/app.env", b"A=1\nB={{absent}}\n", 2, "value-missing"),
        ("manifests/app.env", b"A=1\nB={{text}}\n", 2, "value-not-scalar"),
        (
            "manifests/kustomization.yaml",
            b"resources: [deployment.yaml]\nnamePrefix: '{{absent}}-'\n",
            2,
            "value-missing",
        ),
    ],
)
def test_what_is_wrong_with_a_value_has_its_file_and_line(
    path: str, text: bytes, line: int, rule: str
) -> None:
    values = VALUES + b'text: "a\\nEVIL=1"\n'
    (finding,) = rendered(FILES | {path: text, "configs/base.yaml": values}).findings
    assert (finding.rule, finding.severity, finding.file, finding.line, finding.object) == (
        rule,
        "error",
        path,
        line,
        "",
    )


def test_a_generator_whose_braces_are_text_keeps_them() -> None:
    kustomization = b"""generatorOptions: {annotations: {pilothouse.dev/substitute: disabled}}
configMapGenerator: [{name: dashboard, files: [app.conf], literals: ['a={{greeting}}']}]
secretGenerator: [{name: rules, files: [app.conf]}]
"""
    files = FILES | {"manifests/kustomization.yaml": kustomization}
    written = FILES["manifests/app.conf"].decode()
    result = rendered(files)
    assert one(result, "ConfigMap")["data"] == {"a": "{{greeting}}", "app.conf": written}
    data = base64.b64encode(written.encode()).decode()
    assert one(result, "Secret")["data"] == {"app.conf": data}


def test_no_value_names_a_file_or_a_base() -> None:
    kustomization = b"resources: ['{{base}}', deployment.yaml]\n"
    values = VALUES + b"base: https://example.org/base\n"
    files = {"manifests/kustomization.yaml": kustomization, "configs/base.yaml": values}
    assert [finding.rule for finding in rendered(FILES | files).findings] == ["kustomize-missing"]


def test_a_list_of_bases_as_a_value_is_refused_by_the_second_look() -> None:
    kustomization = b"components: {{bases}}\nresources: [deployment.yaml]\n"
    values = VALUES + b"bases: [https://example.org/base]\n"
    files = {"manifests/kustomization.yaml": kustomization, "configs/base.yaml": values}
    (finding,) = rendered(FILES | files).findings
    assert finding.rule == "kustomize"
    assert "not in this repository" in finding.message


def test_a_value_that_looks_like_a_token_is_refused() -> None:
    values = VALUES + "trick: '\U0001fffepassword\U0001ffff'\n".encode()
    (finding,) = rendered(FILES | {"configs/base.yaml": values}).findings
    assert (finding.rule, finding.file, finding.line) == ("yaml-encoding", "configs/base.yaml", 7)


def test_binary_files_of_a_generator_pass_unchanged() -> None:
    kustomization = b"configMapGenerator: [{name: logo, files: [logo.png]}]\n"
    data = b"\x89PNG{{port}}\xff"
    files = FILES | {"manifests/kustomization.yaml": kustomization, "manifests/logo.png": data}
    assert one(rendered(files), "ConfigMap")["binaryData"] == {
        "logo.png": base64.b64encode(data).decode()
    }


@pytest.mark.parametrize(("root", "start"), [(".", ""), ("./deploy", "deploy/")])
def test_the_kustomization_may_stand_at_the_root(root: str, start: str) -> None:
    files = {path.replace("manifests/", start): data for path, data in FILES.items()}
    source = PIPELINE.replace(b"agents:", f"manifests: {root}, agents:".encode())
    pipeline, findings = parse_pipeline(source)
    assert pipeline is not None, findings
    result = render(files, pipeline, "staging", build_kustomization)
    assert one(result, "Deployment")


def test_helm_charts_inside_a_kustomization_are_refused_with_their_line() -> None:
    kustomization = b"resources: [deployment.yaml]\nhelmCharts:\n- {name: x}\n"
    (finding,) = rendered(FILES | {"manifests/kustomization.yaml": kustomization}).findings
    assert (finding.rule, finding.line) == ("kustomize-field", 2)
    assert "Commit the chart" in finding.fix

"""One environment's objects: values, namespaces, overlays, and never an empty render."""

import json
from collections.abc import Mapping

import pytest

from pilothouse.gitops.manifests.loader import load
from pilothouse.gitops.manifests.order import ADMISSION, CLASSES, FOUNDATIONS, OBJECTS, stage_of
from pilothouse.gitops.manifests.render import Rendered, bundle, render
from pilothouse.gitops.pipeline_file import parse_pipeline
from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import Manifest
from pilothouse.models.pipeline import Pipeline

PIPELINE = b"""pipeline:
  agents: {deployer: {trigger: manual}}
  environments:
    staging: {namespace: team-staging}
    production: {namespace: team, configs: configs/prod.yaml}
    platform: {namespace: team, cluster_scoped: true}
"""
DEPLOYMENT = b"""apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
spec:
  replicas: {{replicas}}
  template:
    spec:
      containers:
      - name: api
        image: myregistry/model:v{{version}}
        env: [{name: PORT, value: "{{ port }}"}]
"""
VALUES = {"configs/base.yaml": b"replicas: 2\nversion: 1.10\nport: 8080\nnested: {deep: yes}\n"}


def pipeline() -> Pipeline:
    parsed, findings = parse_pipeline(PIPELINE)
    assert parsed is not None, findings
    return parsed


def never(files: Mapping[str, bytes], folder: str) -> bytes:
    raise AssertionError("Kustomize must not run")


def rendered(files: Mapping[str, bytes], environment: str = "staging") -> Rendered:
    return render(files, pipeline(), environment, never)


def container(result: Rendered) -> dict[str, object]:
    spec = result.manifests[0].body["spec"]
    assert isinstance(spec, dict)
    template = spec["template"]
    assert isinstance(template, dict)
    pod = template["spec"]
    assert isinstance(pod, dict)
    containers = pod["containers"]
    assert isinstance(containers, list)
    first = containers[0]
    assert isinstance(first, dict)
    return dict(first)


def config(data: str, metadata: str = "name: c") -> bytes:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{{metadata}}}\ndata:\n  {data}\n".encode()


def rules(result: Rendered) -> list[str]:
    return [finding.rule for finding in result.findings]


def test_values_take_their_type_or_their_spelling() -> None:
    result = rendered(VALUES | {"manifests/d.yaml": DEPLOYMENT})
    assert not result.findings
    spec = result.manifests[0].body["spec"]
    assert isinstance(spec, dict)
    assert spec["replicas"] == 2
    assert container(result)["image"] == "myregistry/model:v1.10"


def test_a_number_where_only_text_can_stand_becomes_text() -> None:
    result = rendered(VALUES | {"manifests/d.yaml": DEPLOYMENT})
    assert container(result)["env"] == [{"name": "PORT", "value": "8080"}]


def test_an_environments_own_values_win() -> None:
    files = VALUES | {"manifests/d.yaml": DEPLOYMENT, "configs/prod.yaml": b"replicas: 5\n"}
    for environment, replicas in (("production", 5), ("staging", 2)):
        spec = rendered(files, environment).manifests[0].body["spec"]
        assert isinstance(spec, dict)
        assert spec["replicas"] == replicas


def test_a_missing_values_file_of_an_environment_is_an_error() -> None:
    result = rendered(VALUES | {"manifests/d.yaml": DEPLOYMENT}, "production")
    assert rules(result) == ["values-file-missing"]


def test_a_missing_value_names_its_line_and_the_values_that_exist() -> None:
    files = VALUES | {"manifests/c.yaml": config("key: '{{ versoin }}'")}
    [finding] = rendered(files).findings
    assert (finding.rule, finding.file, finding.line, finding.path) == (
        "value-missing",
        "manifests/c.yaml",
        5,
        "/data/key",
    )
    assert 'did you mean "version"' in finding.message
    assert "nested.deep, port, replicas, version" in finding.message


def test_without_any_values_a_dashboards_braces_are_its_own_but_an_images_are_not() -> None:
    dashboard = config("legend: '{{instance}} {{ code }}'")
    result = rendered({"manifests/c.yaml": dashboard, "manifests/d.yaml": DEPLOYMENT})

    assert result.manifests[0].body["data"] == {"legend": "{{instance}} {{ code }}"}
    said = [finding.file for finding in result.findings if finding.severity == "info"]
    assert said == ["manifests/c.yaml"]
    refused = {finding.file for finding in result.findings if finding.severity == "error"}
    assert refused == {"manifests/d.yaml"}


def test_nested_values_are_named_with_dots() -> None:
    result = rendered(VALUES | {"manifests/c.yaml": config("key: '{{nested.deep}}'")})
    assert not result.findings
    assert result.manifests[0].body["data"] == {"key": "true"}


@pytest.mark.parametrize(
    "hostile",
    [
        'x"\nkind: Secret',
        "a: b\n- c",
        "{{replicas}}",
        "*alias &anchor !!tag",
        "\U0001fffereplicas\U0001ffff",
    ],
)
def test_no_value_becomes_yaml_or_is_read_twice(hostile: str) -> None:
    values = {"configs/v.yaml": b"text: " + json.dumps(hostile, ensure_ascii=False).encode()}
    result = rendered(values | {"manifests/c.yaml": config("key: {{text}} end")})
    assert not result.findings
    assert result.manifests[0].body["data"] == {"key": f"{hostile} end"}


def test_two_files_that_disagree_about_a_used_value_are_an_error() -> None:
    files = VALUES | {
        "configs/other.yaml": b"port: 9090\nunused: 1\n",
        "manifests/c.yaml": config("key: {{port}}"),
    }
    [finding] = rendered(files).findings
    assert finding.rule == "value-ambiguous"
    assert "configs/base.yaml:3" in finding.message
    assert "configs/other.yaml:1" in finding.message


def test_a_list_inside_a_text_is_an_error_and_alone_is_a_list() -> None:
    values = {"configs/v.yaml": b"items: [a, b]\n"}
    spec = b"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}\nspec: {{items}}\n"
    result = rendered(values | {"manifests/w.yaml": spec})
    assert not result.findings
    assert result.manifests[0].body["spec"] == ["a", "b"]
    assert rules(rendered(values | {"manifests/c.yaml": config("key: x{{items}}")})) == [
        "value-not-scalar"
    ]


def test_other_templates_are_left_alone() -> None:
    text = "key: '{{ $labels.pod }} {{ .Values.x }} {{ end }}'"
    annotated = "name: c, annotations: {pilothouse.dev/substitute: disabled}"
    result = rendered({"manifests/c.yaml": config(text, annotated)})
    assert not result.findings
    assert result.manifests[0].body["data"] == {
        "key": "{{ $labels.pod }} {{ .Values.x }} {{ end }}"
    }


def test_the_environments_namespace_is_set_where_none_is_named() -> None:
    result = rendered({"manifests/c.yaml": config("key: x")})
    assert [str(manifest.ref) for manifest in result.manifests] == ["ConfigMap/team-staging/c"]


def test_other_namespaces_and_cluster_scoped_objects_need_leave() -> None:
    files = {
        "manifests/c.yaml": config("key: x", "name: c, namespace: elsewhere"),
        "manifests/n.yaml": b"apiVersion: v1\nkind: Namespace\nmetadata: {name: ns}\n",
        "manifests/r.yaml": b"apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
        b"metadata: {name: r}\n",
    }
    assert rules(rendered(files)) == ["other-namespace", "cluster-scoped", "cluster-scoped"]
    assert rules(rendered(files, "platform")) == []


def test_the_scope_of_a_custom_kind_comes_from_its_definition() -> None:
    crd = b"""apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec: {group: example.com, scope: Cluster, names: {kind: Widget}}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
"""
    result = rendered({"manifests/w.yaml": crd}, "platform")
    assert [str(manifest.ref) for manifest in result.manifests] == [
        "CustomResourceDefinition/widgets.example.com",
        "Widget/w",
    ]


@pytest.mark.parametrize(
    "files",
    [{}, {"manifests/empty.yaml": b"# nothing\n---\n"}, {"other/c.yaml": config("key: x")}],
)
def test_an_empty_render_is_an_error(files: Mapping[str, bytes]) -> None:
    assert rules(rendered(files)) == ["empty-manifests"]


def test_folders_named_for_other_environments_and_hidden_ones_are_not_read() -> None:
    files = {
        "manifests/common.yaml": config("key: x", "name: common"),
        "manifests/production/p.yaml": config("key: x", "name: p"),
        "manifests/staging/s.yaml": config("key: x", "name: s"),
        "manifests/.hidden/h.yaml": config("key: x", "name: h"),
        "manifests/README.md": b"text",
    }
    assert [m.ref.name for m in rendered(files).manifests] == ["common", "s"]


def test_the_same_object_in_two_files_is_an_error() -> None:
    files = {"manifests/a.yaml": config("key: x"), "manifests/b.yaml": config("key: y")}
    assert rules(rendered(files)) == ["duplicate-object"]


def test_the_overlay_of_the_environment_is_built_and_its_objects_traced() -> None:
    calls: list[tuple[set[str], str]] = []

    def kustomize(files: Mapping[str, bytes], folder: str) -> bytes:
        calls.append((set(files), folder))
        return config("key: x", "name: pre-c-8f7d")

    files = {
        "manifests/base/kustomization.yaml": b"resources: [c.yaml]\n",
        "manifests/base/c.yaml": b"# a comment\n" + config("key: x"),
        "manifests/overlays/staging/kustomization.yaml": b"resources: [../../base]\n",
        "secret.txt": b"not part of the build",
    }
    result = render(files, pipeline(), "staging", kustomize)
    assert not result.findings
    assert calls == [
        (
            {
                "manifests/base/kustomization.yaml",
                "manifests/base/c.yaml",
                "manifests/overlays/staging/kustomization.yaml",
            },
            "manifests/overlays/staging",
        )
    ]
    manifest = result.manifests[0]
    assert (manifest.manifest.file, manifest.manifest.line) == ("manifests/base/c.yaml", 2)
    assert manifest.line_of("/data/key") == 6
    assert str(manifest.ref) == "ConfigMap/team-staging/pre-c-8f7d"


def test_an_environment_without_overlay_is_told_so() -> None:
    files = {"manifests/base/kustomization.yaml": b"resources: []\n"}
    assert rules(rendered(files)) == ["kustomize-overlay-missing"]


def test_what_kustomize_says_becomes_a_finding_beside_the_sources() -> None:
    def kustomize(files: Mapping[str, bytes], folder: str) -> bytes:
        raise PermanentError("InvalidManifests", "no such patch target")

    files = {
        "manifests/kustomization.yaml": b"resources: [c.yaml]\n",
        "manifests/c.yaml": config("key: x"),
    }
    result = render(files, pipeline(), "staging", kustomize)
    assert rules(result) == ["kustomize"]
    assert "no such patch target" in result.findings[0].message
    assert [manifest.ref.name for manifest in result.manifests] == ["c"]


@pytest.mark.parametrize(
    ("kustomization", "rule"),
    [
        ("resources: [https://example.com/base.yaml]", "kustomize-remote"),
        ("resources: ['git@example.com:a/b.git']", "kustomize-remote"),
        ("resources: ['github.com/owner/repository?ref=main']", "kustomize-remote"),
        ("bases: ['git::https://example.com/x']", "kustomize-remote"),
        ("components: [https://example.com/x]", "kustomize-remote"),
        ("patches: [{path: https://example.com/x}]", "kustomize-remote"),
        ("resources: [../../../outside]", "kustomize-outside"),
        ("resources: [/etc/passwd]", "kustomize-outside"),
        ("configMapGenerator: [{name: c, files: [/etc/passwd]}]", "kustomize-outside"),
        ("configMapGenerator: [{name: c, files: [k=/etc/passwd]}]", "kustomize-outside"),
        ("secretGenerator: [{name: c, envs: [../../x]}]", "kustomize-outside"),
        ("secretGenerator: [{name: c, env: ../../x}]", "kustomize-outside"),
        ("replacements: [{path: ../../x}]", "kustomize-outside"),
        ("openapi: {path: /etc/passwd}", "kustomize-outside"),
        ("resources: [absent.yaml]", "kustomize-missing"),
        ("resources: [folder]", "kustomize-missing"),
        ("helmCharts: [{name: x, repo: https://example.com}]", "kustomize-field"),
        ("Resources: [https://example.com/base.yaml]", "kustomize-field"),
        ("configMapGenerator: [{name: c, Files: [/etc/passwd]}]", "kustomize-field"),
        ("generators: [plugin.yaml]", "kustomize-plugin"),
        ("transformers: [function.yaml]", "kustomize-plugin"),
        ("transformers: [reader.yaml]", "kustomize-plugin"),
        (
            "transformers:\n- |\n  apiVersion: builtin\n  kind: PatchTransformer\n"
            "  metadata: {name: x}\n  path: /etc/passwd\n",
            "kustomize-plugin",
        ),
        ("resources: &a [c.yaml]", "yaml-alias"),
        ("resources: [c.yaml]\nresources: []", "yaml-duplicate-key"),
    ],
)
def test_a_build_that_reaches_out_is_refused_before_it_runs(kustomization: str, rule: str) -> None:
    files = {
        "manifests/kustomization.yaml": kustomization.encode(),
        "manifests/c.yaml": config("key: x"),
        "manifests/folder/c.yaml": config("key: x"),
        "manifests/plugin.yaml": b"apiVersion: example.com/v1\nkind: X\nmetadata: {name: x}\n",
        "manifests/function.yaml": b"apiVersion: builtin\nkind: LabelTransformer\nmetadata:\n"
        b"  name: x\n  annotations: {config.kubernetes.io/function: 'exec: {path: ./run}'}\n",
        "manifests/reader.yaml": b"apiVersion: builtin\nkind: ConfigMapGenerator\n"
        b"metadata: {name: x}\nfiles: [/etc/passwd]\n",
    }
    result = rendered(files)
    assert rules(result)[0] == rule
    assert result.findings[0].file == "manifests/kustomization.yaml"


def test_a_remote_base_is_found_through_other_kustomizations() -> None:
    files = {
        "manifests/kustomization.yaml": b"resources: [inner]\n",
        "manifests/inner/kustomization.yaml": b"components: [../more]\n",
        "manifests/more/kustomization.yml": b"kind: Component\nresources:\n- https://example.com\n",
    }
    [finding] = rendered(files).findings
    assert (finding.rule, finding.file, finding.line) == (
        "kustomize-remote",
        "manifests/more/kustomization.yml",
        3,
    )


@pytest.mark.parametrize(
    ("api_version", "kind", "stage"),
    [
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", FOUNDATIONS),
        ("v1", "Namespace", FOUNDATIONS),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", FOUNDATIONS),
        ("storage.k8s.io/v1", "StorageClass", CLASSES),
        ("gateway.networking.k8s.io/v1", "GatewayClass", CLASSES),
        ("apps/v1", "Deployment", OBJECTS),
        ("cert-manager.io/v1", "ClusterIssuer", OBJECTS),
        ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", ADMISSION),
    ],
)
def test_each_kind_has_its_stage(api_version: str, kind: str, stage: int) -> None:
    body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}}
    assert stage_of(Manifest(file="a", line=1, body=body)) == stage


def test_a_bundle_is_in_apply_order_whatever_the_order_of_files() -> None:
    kinds = {
        "a": ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        "b": ("example.com/v1", "Widget"),
        "c": ("networking.k8s.io/v1", "Ingress"),
        "d": ("apps/v1", "Deployment"),
        "e": ("v1", "Service"),
        "f": ("v1", "ConfigMap"),
        "g": ("v1", "ServiceAccount"),
        "h": ("scheduling.k8s.io/v1", "PriorityClass"),
        "i": ("v1", "Namespace"),
    }
    files = {
        f"manifests/{name}.yaml": (
            f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: x}}\n".encode()
        )
        for name, (api, kind) in kinds.items()
    }
    result = rendered(files, "platform")
    made = bundle(result, pipeline(), "platform")
    assert [manifest.ref.kind for manifest in made.manifests] == [
        kind for _, kind in reversed(kinds.values())
    ]
    assert (made.environment, made.namespace) == ("platform", "team")


def test_the_plan_digest_changes_with_objects_and_policy_but_not_with_file_names() -> None:
    def digest(files: Mapping[str, bytes], source: bytes = PIPELINE) -> str:
        parsed, _ = parse_pipeline(source)
        assert parsed is not None
        return bundle(render(files, parsed, "staging", never), parsed, "staging").digest()

    first = digest({"manifests/a.yaml": config("key: x")})
    assert digest({"manifests/moved/b.yaml": b"# c\n" + config("key: x")}) == first
    assert digest({"manifests/a.yaml": config("key: y")}) != first
    stricter = PIPELINE.replace(b"team-staging", b"team-staging, approval: {required: true}")
    assert digest({"manifests/a.yaml": config("key: x")}, stricter) != first


def test_a_file_with_the_token_characters_is_refused() -> None:
    text = config("key: \U0001fffex\U0001ffff")
    assert [f.rule for f in load(text, "a.yaml", placeholders=True).findings] == ["yaml-encoding"]


def test_manifests_may_name_a_single_file_and_nothing_beside_it_is_read() -> None:
    files = {"release/all.yaml": config("a: b"), "release/mesh.yaml": config("a: b", "name: d")}
    declared = pipeline().model_copy(update={"manifests": "release/all.yaml"})
    result = render(files, declared, "staging", never)

    assert not result.findings
    assert [manifest.manifest.file for manifest in result.manifests] == ["release/all.yaml"]

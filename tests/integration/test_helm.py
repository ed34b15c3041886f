"""Charts rendered by the real helm program, where there is one."""

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from pilothouse.clients.folder import read_files
from pilothouse.clients.helm import HelmProgram, find_helm
from pilothouse.gitops.manifests.helm.releases import HelmMissingError
from pilothouse.gitops.manifests.render import Rendered, bundle, render
from pilothouse.gitops.pipeline_file import parse_pipeline
from pilothouse.models.pipeline import Pipeline

PIPELINE = b"""pipeline:
  agents: {deployer: {trigger: manual}}
  manifests: chart
  environments:
    staging: {namespace: team-staging, cluster_scoped: true}
"""
TEMPLATE = b"""apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  namespace: {{ .Release.Namespace }}
data:
  tag: {{ .Values.image.tag | quote }}
  kept: {{ .Values.kept | quote }}
  version: {{ .Capabilities.KubeVersion.Version }}
  looked-up: {{ lookup "v1" "Secret" "kube-system" "x" | toJson | quote }}
  resolved: {{ getHostByName "localhost" | quote }}
  outside: {{ .Files.Get "../../../../etc/hostname" | quote }}
  absolute: {{ .Files.Get "/etc/hostname" | quote }}
  notes: {{ .Files.Get "notes.txt" | quote }}
"""
SUBCHART = {
    "Chart.yaml": b"apiVersion: v2\nname: cache\nversion: 1.2.3\n",
    "templates/service.yaml": b"apiVersion: v1\nkind: Service\nmetadata: {name: cache}\n"
    b"spec: {ports: [{port: {{ .Values.port }}}]}\n",
    "values.yaml": b"port: 1\n",
}
CHART = {
    "chart/Chart.yaml": b"apiVersion: v2\nname: shop\nversion: 1.0.0\n"
    b"dependencies:\n- {name: cache, version: 1.x.x, repository: 'https://example.org/charts'}\n",
    "chart/values.yaml": b"image: {tag: v0}\nkept: 'yes'\n",
    "chart/notes.txt": b"ours",
    "chart/templates/NOTES.txt": b"Thank you.",
    "chart/templates/config.yaml": TEMPLATE,
    "chart/crds/widget.yaml": b"apiVersion: apiextensions.k8s.io/v1\n"
    b"kind: CustomResourceDefinition\nmetadata: {name: widgets.example.org}\n",
    "configs/staging.yaml": b"image: {tag: 1.10}\ncache: {port: 6379}\n",
}


def archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        for name, data in SUBCHART.items():
            member = tarfile.TarInfo(f"cache/{name}")
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


VENDORED = {
    "folder": {f"chart/charts/cache/{name}": data for name, data in SUBCHART.items()},
    "archive": {"chart/charts/cache-1.2.3.tgz": archive()},
}


@pytest.fixture(scope="module")
def helm() -> HelmProgram:
    try:
        return HelmProgram(find_helm())
    except HelmMissingError as error:
        pytest.skip(f"{error}: put helm on the PATH, or set PILOTHOUSE_HELM")


def pipeline() -> Pipeline:
    parsed, findings = parse_pipeline(PIPELINE)
    assert parsed is not None, findings
    return parsed


def rendered(files: Mapping[str, bytes], helm: HelmProgram) -> Rendered:
    return render(files, pipeline(), "staging", lambda *_: b"", helm)


@pytest.mark.parametrize("form", VENDORED)
def test_a_chart_becomes_objects_with_their_templates_places(helm: HelmProgram, form: str) -> None:
    result = rendered(CHART | VENDORED[form], helm)
    assert result.findings == ()
    places = {str(m.ref): (m.manifest.file, m.manifest.line) for m in result.manifests}
    packed = {"folder": ("chart/charts/cache/templates/service.yaml", 2)}
    assert places == {
        "CustomResourceDefinition/widgets.example.org": ("chart/crds/widget.yaml", 2),
        "ConfigMap/team-staging/shop": ("chart/templates/config.yaml", 2),
        "Service/team-staging/cache": packed.get(form, ("chart/charts/cache-1.2.3.tgz", 1)),
    }
    bodies = {m.ref.kind: m.body for m in result.manifests}
    assert bodies["ConfigMap"]["data"] == {
        "tag": "1.1",  # What YAML reads; in quotes it would be 1.10.
        "kept": "yes",
        "version": "v1.36.0",
        "looked-up": "{}",
        "resolved": "",
        "outside": "",
        "absolute": "",
        "notes": "ours",
    }
    assert bodies["Service"]["spec"] == {"ports": [{"port": 6379}]}


def test_the_same_commit_gives_the_same_bytes(helm: HelmProgram) -> None:
    files = CHART | VENDORED["archive"]
    digests = {bundle(rendered(files, helm), pipeline(), "staging").digest() for _ in range(2)}
    assert len(digests) == 1


@pytest.mark.parametrize(
    "value",
    ["{{ randAlphaNum 8 }}", "{{ now | unixEpoch | quote }}", "{{ uuidv4 }}", "{{ genCA 'x' 1 }}"],
)
def test_what_a_template_makes_up_is_found_with_its_field(helm: HelmProgram, value: str) -> None:
    template = b"apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  a: b\n  key: x"
    made = value.replace("'x' 1", '"x" 1 | toJson | quote').encode()
    files = CHART | VENDORED["folder"] | {"chart/templates/s.yaml": template + made}
    (finding,) = rendered(files, helm).findings
    assert (finding.rule, finding.file, finding.path) == (
        "helm-not-deterministic",
        "chart/templates/s.yaml",
        "/stringData/key",
    )


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("chart/templates/x.yaml", b'a: {{ required "a port, please" .Values.no }}', "a port, pl"),
        ("chart/templates/x.yaml", b"a: {{ .Values.image.tag.x.y }}", "templates/x.yaml:1"),
        ("chart/templates/x.yaml", b"a: {{ if }}", "templates/x.yaml:1"),
        ("chart/templates/x.yaml", b'a: {{ env "HOME" }}', 'function "env" not defined'),
        ("chart/values.schema.json", b'{"required": ["absent"]}', "absent"),
    ],
)
def test_what_helm_refuses_is_one_finding_without_our_folders(
    helm: HelmProgram, path: str, text: bytes, words: str
) -> None:
    (finding,) = rendered(CHART | VENDORED["folder"] | {path: text}, helm).findings
    assert (finding.rule, finding.file) == ("helm", "chart/Chart.yaml")
    assert words in finding.message
    assert "pilothouse-helm-" not in finding.message


def test_hooks_are_left_out_and_a_tests_random_name_is_no_difference(helm: HelmProgram) -> None:
    def hook(name: str, event: str) -> bytes:
        return (
            f"apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n"
            f"  annotations: {{'helm.sh/hook': {event}}}\n"
        ).encode()

    files = CHART | VENDORED["folder"]
    files |= {
        "chart/templates/test.yaml": hook("t-{{ randAlphaNum 5 | lower }}", "test"),
        "chart/templates/migrate.yaml": hook("migrate", "pre-upgrade"),
    }
    result = rendered(files, helm)
    assert [(f.rule, f.file, f.line) for f in result.findings] == [
        ("helm-hook", "chart/templates/migrate.yaml", 2)
    ]
    assert {m.ref.kind for m in result.manifests} == {
        "ConfigMap",
        "CustomResourceDefinition",
        "Service",
    }


def test_a_chart_in_any_folder_is_validated_with_its_own_values(
    helm: HelmProgram, tmp_path: Path
) -> None:
    files = {path: data for path, data in CHART.items() if "crds" not in path}
    service = {
        "chart/templates/broken.yaml": b"apiVersion: v1\nkind: Service\nmetadata: {name: b}\n"
        b"spec: {ports: [{port: none}]}\n"
    }
    folder = read_files(files | VENDORED["folder"] | service, helm=helm)
    rules = {(f.rule, f.file, f.line) for f in folder.report.findings if f.severity == "error"}
    assert rules == {("schema", "chart/templates/broken.yaml", 2)}
    assert folder.report.objects == 3

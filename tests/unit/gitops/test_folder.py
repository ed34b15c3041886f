"""Validation of folders and files on disk, and Kustomize itself."""

import os
import time
from pathlib import Path

import pytest

from pilothouse.clients.folder import validate_folder
from pilothouse.clients.folder_files import FolderFiles
from pilothouse.clients.kustomize import build_kustomization
from pilothouse.models.errors import PermanentError
from pilothouse.models.findings import Finding, ValidationReport

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {}}}\ndata: {{color: text}}\n"
BROKEN = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: broken}\ndata: {color: 5}\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def summary(report: ValidationReport) -> list[tuple[str, str, str]]:
    return [(finding.severity, finding.rule, finding.file) for finding in told(report)]


def told(report: ValidationReport) -> list[Finding]:
    """The findings, but for the note that objects name no namespace."""
    return [finding for finding in report.findings if finding.rule != "namespace-default"]


def test_plain_manifests_are_validated(tmp_path: Path) -> None:
    report = validate_folder(write(tmp_path, {"a.yaml": CONFIG.format("a"), "sub/b.yml": BROKEN}))
    assert (report.verdict, report.objects) == ("block", 2)
    assert summary(report) == [("error", "schema", "sub/b.yml")]


def test_one_file_is_validated(tmp_path: Path) -> None:
    write(tmp_path, {"a.yaml": CONFIG.format("a"), "b.yaml": BROKEN})
    assert validate_folder(tmp_path / "a.yaml").verdict == "pass"
    assert summary(validate_folder(tmp_path / "b.yaml")) == [("error", "schema", "b.yaml")]


def test_what_is_no_folder_of_manifests_is_wrong_use(tmp_path: Path) -> None:
    for path, words in ((tmp_path / "absent", "does not exist"), (tmp_path, "no YAML")):
        with pytest.raises(PermanentError, match=words) as caught:
            validate_folder(path)
        assert caught.value.type == "InvalidRequest"


def test_other_yaml_charts_and_hidden_folders_are_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PILOTHOUSE_HELM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))  # There is no helm.
    files = {
        "a.yaml": CONFIG.format("a"),
        "values.yaml": "replicas: &r 3\nother: *r\n",
        "package.json": '{"name": "x"}',
        "chart/Chart.yaml": "name: x\n",
        "chart/templates/d.yaml": "{{- if .x }}\nkind: Pod\n{{ end }}\n",
        ".github/workflows/ci.yaml": "on: push\n",
    }
    report = validate_folder(write(tmp_path, files))
    assert (report.verdict, report.objects) == ("pass", 1)
    assert summary(report) == [
        ("info", "helm-chart-skipped", "chart/"),
        ("info", "not-an-object", "values.yaml"),
    ]


def test_a_folder_without_objects_is_no_pass(tmp_path: Path) -> None:
    report = validate_folder(write(tmp_path, {"values.yaml": "a: 1\n"}))
    assert report.verdict == "review"
    assert summary(report)[0] == ("warning", "nothing-checked", "")


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    outside = write(tmp_path / "outside", {"secret.yaml": BROKEN})
    root = write(tmp_path / "root", {"a.yaml": CONFIG.format("a")})
    (root / "link.yaml").symlink_to(outside / "secret.yaml")
    (root / "folder").symlink_to(outside)
    os.mkfifo(root / "pipe.yaml")
    assert list(FolderFiles(root)) == ["a.yaml"]
    report = validate_folder(root)
    assert (report.verdict, report.objects) == ("pass", 1)


def test_a_file_that_becomes_a_link_is_not_read(tmp_path: Path) -> None:
    root = write(tmp_path, {"a.yaml": CONFIG.format("a"), "b.yaml": "text"})
    files = FolderFiles(root)
    (root / "a.yaml").unlink()
    (root / "a.yaml").symlink_to(root / "b.yaml")
    with pytest.raises(PermanentError, match="cannot be read"):
        files["a.yaml"]


KUSTOMIZED = {
    "base/kustomization.yaml": "resources: [c.yaml]\n",
    "base/c.yaml": CONFIG.format("c"),
    "base/patch.yaml": "kind: ConfigMap\n",
    "overlays/one/kustomization.yaml": (
        "resources: [../../base]\nnamePrefix: one-\ncomponents: [../../component]\n"
    ),
    "overlays/two/kustomization.yaml": "resources: [../../base]\nnamespace: two\n",
    "component/kustomization.yaml": (
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamespace: one\n"
    ),
    "unused/kustomization.yaml": (
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches: []\n"
    ),
}


def test_only_the_top_most_kustomizations_are_built(tmp_path: Path) -> None:
    report = validate_folder(write(tmp_path, KUSTOMIZED))
    assert (report.verdict, report.objects, told(report)) == ("pass", 2, [])


def test_a_mistake_in_a_base_is_told_once_at_its_place(tmp_path: Path) -> None:
    files = KUSTOMIZED | {"base/c.yaml": "# comment\n" + BROKEN}
    report = validate_folder(write(tmp_path, files))
    [finding] = told(report)
    assert (finding.file, finding.line, finding.path) == ("base/c.yaml", 5, "/data/color")


def test_a_kustomization_that_cannot_be_built_still_has_its_objects_checked(tmp_path: Path) -> None:
    files = {
        "kustomization.yaml": "resources: [c.yaml, absent.yaml]\n",
        "c.yaml": BROKEN,
    }
    report = validate_folder(write(tmp_path, files))
    assert summary(report) == [
        ("error", "schema", "c.yaml"),
        ("error", "kustomize-missing", "kustomization.yaml"),
    ]


def test_a_flux_object_named_like_a_kustomization_is_an_object(tmp_path: Path) -> None:
    text = (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps}\n"
    )
    report = validate_folder(write(tmp_path, {"apps/kustomization.yaml": text}))
    assert (report.verdict, report.objects) == ("pass", 1)
    assert summary(report) == [("info", "schema-unknown", "apps/kustomization.yaml")]


def test_a_pipeline_repository_is_validated_for_each_environment(tmp_path: Path) -> None:
    files = {
        "pipeline.yaml": """pipeline:
  agents: {deployer: {trigger: manual}}
  environments:
    staging: {namespace: staging}
    production: {namespace: production, configs: configs/prod.yaml}
""",
        "configs/base.yaml": "key: text\n",
        "configs/prod.yaml": "key: [not, text]\n",
        "manifests/c.yaml": CONFIG.format("c").replace("text", "{{key}}"),
        "elsewhere/ignored.yaml": BROKEN,
    }
    report = validate_folder(write(tmp_path, files))
    assert report.objects == 2
    [finding] = told(report)
    assert (finding.object, finding.path) == ("ConfigMap/production/c", "/data/color")


def test_mistakes_of_the_pipeline_file_are_told(tmp_path: Path) -> None:
    report = validate_folder(write(tmp_path, {"pipeline.yaml": "pipeline: {}\n"}))
    assert summary(report) == [("error", "pipeline-file", "pipeline.yaml")]


def test_somebody_elses_pipeline_file_is_only_a_stray(tmp_path: Path) -> None:
    files = {"pipeline.yaml": "stages: [build]\n", "a.yaml": CONFIG.format("a")}
    report = validate_folder(write(tmp_path, files))
    assert summary(report) == [("info", "not-an-object", "pipeline.yaml")]


def test_repeated_objects_are_an_error_in_a_file_and_doubtful_in_a_folder(tmp_path: Path) -> None:
    same = CONFIG.format("same")
    for name, files, expected in (
        ("file", {"a.yaml": f"{same}---\n{same}"}, [("error", "duplicate-object", "a.yaml")]),
        (
            "folder",
            {"a.yaml": same, "b.yaml": same},
            [("warning", "duplicate-object", "b.yaml")],
        ),
        ("variants", {"x/a.yaml": same, "y/a.yaml": same}, []),
    ):
        assert summary(validate_folder(write(tmp_path / name, dict(files)))) == expected


def test_five_hundred_objects_take_about_a_second(tmp_path: Path) -> None:
    deployment = """apiVersion: apps/v1
kind: Deployment
metadata: {{name: d{0}}}
spec:
  selector: {{matchLabels: {{app: d{0}}}}}
  template:
    metadata: {{labels: {{app: d{0}}}}}
    spec: {{containers: [{{name: c, image: i, resources: {{limits: {{cpu: 1}}}}}}]}}
"""
    text = "---\n".join(deployment.format(number) for number in range(500))
    write(tmp_path, {"all.yaml": text})
    started = time.process_time()
    report = validate_folder(tmp_path)
    assert (report.verdict, report.objects) == ("review", 500)
    assert time.process_time() - started < 5


def test_kustomize_builds_with_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    files = {
        "overlay/kustomization.yaml": b"resources: [../base]\nconfigMapGenerator:\n"
        b"- name: made\n  files: [../shared/text.txt]\n",
        "base/kustomization.yaml": b"resources: [c.yaml]\n",
        "base/c.yaml": CONFIG.format("c").encode(),
        "shared/text.txt": b"hello",
    }
    output = build_kustomization(files, "overlay").decode()
    assert "name: c\n" in output
    assert "text.txt: hello" in output


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"kustomization.yaml": b"resources: [https://example.com/x.yaml]\n"}, "not in this"),
        ({"kustomization.yaml": b"Resources: [https://example.com/x.yaml]\n"}, "no field"),
        ({"kustomization.yaml": b"resources: [a.yaml]\n", "a.yaml": b"kind: ["}, "yaml"),
        ({"kustomization.yaml": b"nameprefix: x\n"}, "no field"),
        (
            {"kustomization.yaml": b"secretGenerator:\n- name: s\n  files: [k=../../etc/passwd]\n"},
            "leaves the repository",
        ),
    ],
)
def test_kustomize_refuses_with_a_reason(files: dict[str, bytes], words: str) -> None:
    with pytest.raises(PermanentError, match=words) as caught:
        build_kustomization(files, "")
    assert caught.value.type == "InvalidManifests"
    assert "/tmp/" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["../x.yaml", "a/../../x.yaml", "/x.yaml", "a\0b.yaml", "a//b.yaml"]
)
def test_kustomize_writes_no_file_outside_its_own_folder(name: str, tmp_path: Path) -> None:
    files = {"kustomization.yaml": f"resources: ['{name}']\n".encode(), name: b"x: y\n"}
    with pytest.raises(PermanentError):
        build_kustomization(files, "")


def test_kustomize_is_stopped_when_it_takes_too_long() -> None:
    files = {"kustomization.yaml": b"resources: [c.yaml]\n", "c.yaml": CONFIG.format("c").encode()}
    with pytest.raises(PermanentError, match="longer than"):
        build_kustomization(files, "", timeout_seconds=0.0)

"""What a revision has besides regular files is never followed, and never silently missing."""

from pathlib import Path

import pytest

from pilothouse.clients.confined import write_files
from pilothouse.clients.folder import validate_folder
from pilothouse.clients.store import ContentStore
from pilothouse.clients.tree import StoredTree
from pilothouse.gitops.manifests.render import render
from pilothouse.gitops.pipeline_file import parse_pipeline
from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import canonical_json

PIPELINE = """pipeline:
  agents: {deployer: {trigger: manual}}
  manifests: MANIFESTS
  environments:
    staging: {namespace: team}
    production: {namespace: team}
"""
CONFIG = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: b}\n"


def said(left_out: dict[str, str], manifests: str = "manifests") -> list[tuple[str, str]]:
    pipeline, findings = parse_pipeline(PIPELINE.replace("MANIFESTS", manifests).encode())
    assert pipeline is not None, findings
    files = {"manifests/c.yaml": CONFIG}
    result = render(files, pipeline, "staging", lambda *_: b"", None, left_out)
    assert {finding.severity for finding in result.findings} <= {"error"}
    return [(finding.rule, finding.file) for finding in result.findings]


@pytest.mark.parametrize(
    "path",
    [
        "manifests/link.yaml",
        "manifests/folder",
        "manifests/staging/link.yaml",
        "manifests/chart/templates/link.tpl",
        "configs/staging.yaml",
    ],
)
def test_a_link_among_manifests_or_values_is_an_error(path: str) -> None:
    assert said({path: "a symbolic link"}) == [("file-left-out", path)]


@pytest.mark.parametrize("path", ["docs/link.yaml", "manifests/production/link.yaml", "link"])
def test_a_link_elsewhere_is_nobodys_concern(path: str) -> None:
    assert said({path: "a symbolic link"}) == []


def test_at_the_root_only_manifests_count() -> None:
    links = dict.fromkeys(("README", "link.yaml", "docs/x.yaml", ".hidden/x.yaml"), "a submodule")
    assert said(links, ".") == [("file-left-out", "link.yaml")]


def test_a_snapshot_says_what_it_left_out(tmp_path: Path) -> None:
    store = ContentStore(tmp_path)
    tree = {
        "file": {"mode": "100644", "size": 1, "digest": store.put(b"x")},
        "link": {"mode": "120000", "size": 9},
        "module": {"mode": "160000", "size": 0},
        "large": {"mode": "100644", "size": 10**9},
    }
    snapshot = StoredTree(store, store.put(canonical_json(tree)))
    assert list(snapshot) == ["file"]
    assert snapshot.left_out == {
        "link": "a symbolic link",
        "module": "a submodule",
        "large": "a file above the limit of size",
    }


def test_a_repository_on_disk_with_links_among_its_manifests_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.yaml").write_bytes(CONFIG.replace(b"name: c", b"name: stolen"))
    root = tmp_path / "repository"
    (root / "manifests").mkdir(parents=True)
    (root / "pipeline.yaml").write_text(PIPELINE.replace("MANIFESTS", "manifests"))
    (root / "manifests" / "c.yaml").write_bytes(CONFIG)
    (root / "manifests" / "file.yaml").symlink_to(outside / "secret.yaml")
    (root / "manifests" / "folder").symlink_to(outside)
    report = validate_folder(root)
    errors = [f for f in report.findings if f.severity == "error"]
    assert [(f.rule, f.file) for f in errors] == [
        ("file-left-out", "manifests/file.yaml"),
        ("file-left-out", "manifests/folder"),
    ]
    assert "stolen" not in str(report)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("../x", "not a path"),
        ("a/../../x", "not a path"),
        ("/etc/x", "not a path"),
        ("a//b", "not a path"),
        ("nul\0", "not a path"),
        ("Base.yaml", "one file on some machines"),
        ("a\u0308.yaml", "one file on some machines"),
        ("base.yaml/x", "a file and a folder at once"),
    ],
)
def test_no_renderer_is_given_a_path_that_leaves_its_folder_or_collides(
    path: str, words: str, tmp_path: Path
) -> None:
    files = {"base.yaml": b"x", "\u00e4.yaml": b"x", path: b"x"}
    with pytest.raises(PermanentError, match=words):
        write_files(files, tmp_path / "root")
    assert not (tmp_path / "x").exists()

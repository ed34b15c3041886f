"""The adapter to the helm program: what it hands over, and every way in which that one fails."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from pilothouse.clients.helm import HelmProgram, find_helm
from pilothouse.gitops.manifests.helm.releases import HelmMissingError, Release
from pilothouse.models.errors import PermanentError

DOUBLE = Path(__file__).with_name("helm_double.py")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The double as a program that needs no PATH."""
    path = tmp_path / "bin" / "helm"
    path.parent.mkdir()
    path.write_text(
        f"#!{sys.executable} -I\n{DOUBLE.read_text(encoding='utf-8')}", encoding="utf-8"
    )
    path.chmod(0o755)
    return path


def release(
    fault: dict[str, JsonValue] | None = None,
    *,
    apart: bool = False,
    files: dict[str, bytes] | None = None,
) -> Release:
    values: dict[str, JsonValue] = {"fault": fault} if fault else {"key": "väl"}
    chart = {"Chart.yaml": b"name: shop\n", "templates/a.yaml": b"x"} | (files or {})
    return Release("shop", "team", chart, values, apart)


def called(program: Path) -> dict[str, Any]:
    first, second = HelmProgram(program, kubernetes_version="1.36")(release())
    assert first == second
    said = json.loads(first)
    assert isinstance(said, dict)
    return said


def test_helm_is_asked_for_a_template_and_nothing_else(program: Path) -> None:
    said = called(program)
    *options, end, name, chart = said["arguments"]
    folder = str(Path(chart).parent)
    assert [option.replace(folder, "F") for option in options] == [
        "template",
        "--namespace=team",
        "--kube-version=1.36.0",
        "--values=F/home/values.json",
        "--include-crds",
    ]
    assert (end, name, said["folder"]) == ("--", "shop", chart)
    assert said["values"] == {"key": "väl"}
    assert said["files"] == ["Chart.yaml", "templates/a.yaml"]
    assert not Path(folder).exists()


def test_helm_sees_no_environment_of_ours(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("KUBECONFIG", "AWS_SECRET_ACCESS_KEY", "HELM_PLUGINS", "HELM_NAMESPACE")
    for name in (*secrets, "KUBERNETES_SERVICE_HOST", "PILOTHOUSE_GIT_CREDENTIALS"):
        monkeypatch.setenv(name, "ours")
    environment = called(program)["environment"]
    assert "ours" not in environment.values()
    home = environment["HOME"]
    assert {name for name, value in environment.items() if not value.startswith(home)} <= {
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "LC_CTYPE",  # Python's own, of the double.
    }
    assert environment["HTTPS_PROXY"] == "http://127.0.0.1:1"
    assert environment["HELM_PLUGINS"].startswith(f"{home}/")
    assert environment["KUBECONFIG"].startswith(f"{home}/")


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            {"exit": 1, "says": "Error: CHART/templates/a.yaml: nil pointer\n"},
            r"^templates/a.yaml: ",
        ),
        ({"exit": 3}, "^Helm failed without a word$"),
        ({"writes": 17 * 1024 * 1024}, "^Helm wrote more than 16 MiB$"),
        ({"memory": 8 * 1024**3}, "MemoryError"),
        ({"exit": 1, "says": "x" * 200_000}, "^x{1000}$"),
    ],
    ids=["refusal", "silence", "flood", "memory", "verbose"],
)
def test_a_fault_of_helm_is_final_and_said_without_our_folders(
    program: Path, fault: dict[str, JsonValue], message: str
) -> None:
    with pytest.raises(PermanentError, match=message) as caught:
        HelmProgram(program)(release(fault))
    assert caught.value.type == "InvalidManifests"
    assert "pilothouse-helm-" not in str(caught.value)


def test_helm_is_stopped_when_it_takes_too_long(program: Path) -> None:
    started = time.monotonic()
    with pytest.raises(PermanentError, match=r"^Helm took longer than 0.3 seconds$"):
        HelmProgram(program, timeout_seconds=0.3)(release({"sleep": 30}))
    assert time.monotonic() - started < 10


def test_what_helm_started_ends_with_it(program: Path, tmp_path: Path) -> None:
    note = tmp_path / "child"
    with pytest.raises(PermanentError, match="took longer"):
        HelmProgram(program, timeout_seconds=3.0)(release({"child": str(note)}))
    pid = int(note.read_text(encoding="utf-8"))
    deadline = time.monotonic() + 5
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be buried does not."""
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").split()[2]
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_warnings_are_no_fault(program: Path) -> None:
    first, second = HelmProgram(program)(release({"says": "a symlink was found", "writes": 3}))
    assert (first, second) == (b"xxx", b"xxx")


def test_templates_that_read_the_clock_are_rendered_in_different_seconds(program: Path) -> None:
    started = time.monotonic()
    HelmProgram(program)(release(apart=True))
    assert time.monotonic() - started > 1


@pytest.mark.parametrize(
    "path", ["../x", "a/../../x", "/etc/x", "a//b", "a/./b", "nul\0", "templates/A.yaml", "a\u0308"]
)
def test_a_path_that_leaves_the_folder_or_collides_is_refused(program: Path, path: str) -> None:
    with pytest.raises(PermanentError, match=r"is not a path|are one file") as caught:
        HelmProgram(program)(release(files={path: b"x", "\u00e4": b"x"}))
    assert caught.value.type == "InvalidManifests"


def test_helm_is_found_by_its_setting_else_on_the_path(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PILOTHOUSE_HELM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HelmMissingError, match="no program helm$"):
        find_helm()
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_helm() == program
    monkeypatch.setenv("PILOTHOUSE_HELM", str(tmp_path / "absent"))
    with pytest.raises(HelmMissingError, match="absent"):
        find_helm()
    monkeypatch.setenv("PILOTHOUSE_HELM", str(program))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_helm() == program


def test_a_program_that_cannot_start_is_said(tmp_path: Path) -> None:
    broken = tmp_path / "helm"
    broken.write_text("#!/nowhere/at/all\n", encoding="utf-8")
    broken.chmod(0o755)
    with pytest.raises(PermanentError, match="Helm cannot be started"):
        HelmProgram(broken)(release())

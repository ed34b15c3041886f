"""`pilothouse plan` without a cluster: what is printed, and how it ends."""

import json
import subprocess
import unicodedata
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pilothouse.cli.main import application

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: api}}}}
  template:
    metadata: {{labels: {{app: api}}}}
    spec:
      containers: [{{name: api, image: "registry.example.org/api:{tag}"}}]
"""


def git(folder: Path, *arguments: str) -> None:
    person = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    subprocess.run(["git", "-C", str(folder), *person, *arguments], check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository with one commit, and one change after it."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    file = tmp_path / "api.yaml"
    file.write_text(DEPLOYMENT.format(replicas=3, tag="v1.2.0"), encoding="utf-8")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    file.write_text(DEPLOYMENT.format(replicas=1, tag="v1.1.0"), encoding="utf-8")
    return tmp_path


def plan(*words: str | Path) -> Result:
    return CliRunner().invoke(application("plan"), ["plan", *map(str, words)])


def test_without_a_comparison_every_object_is_listed(folder: Path) -> None:
    result = plan(folder)
    assert result.exit_code == 0
    assert result.output.splitlines()[0] == "  apply Deployment/api  api.yaml:1"


def test_the_current_folder_is_the_default(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert "apply Deployment/api" in plan().output


def test_against_a_revision_the_change_is_shown_with_its_risks(folder: Path) -> None:
    result = plan(folder, "--against", "HEAD")
    assert result.exit_code == 0
    assert result.output.splitlines()[:5] == [
        "~ change Deployment/api  api.yaml:1",
        "    ! replicas_down: replicas go from 3 to 1",
        "    ! image_downgrade: api: the image goes back from v1.2.0 to v1.1.0",
        "    ~ spec.replicas  3 -> 1",
        "    ~ spec.template.spec.containers[api].image  v1.2.0 -> v1.1.0"
        "  (registry.example.org/api)",
    ]


def test_one_file_is_compared_with_the_same_file(folder: Path) -> None:
    (folder / "other.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n")
    result = plan(folder / "api.yaml", "--against", "main")
    assert "1 to change" in result.output
    assert "Namespace" not in result.output


def test_json_has_the_plan_with_every_difference(folder: Path) -> None:
    shape = json.loads(plan(folder, "--against", "HEAD", "--output", "json").output)
    assert shape["counts"] == {"change": 1}
    assert shape["risks"] == {"replicas_down": 1, "image_downgrade": 1}
    assert [item["action"] for item in shape["objects"]] == ["change"]
    (change,) = shape["changes"]
    assert change["fields"][0] == "/spec/replicas"
    assert change["diff"][0] | {"title": ""} == {
        "path": "/spec/replicas",
        "title": "",
        "kind": "replace",
        "before": 3,
        "after": 1,
        "masked": False,
    }


def test_markdown_says_with_what_it_was_compared(folder: Path) -> None:
    text = plan(folder, "--against", "HEAD", "--output", "markdown").output
    assert "**1 to change**" in text
    assert "Compared with revision `" in text
    assert "```diff" in text


def test_in_markdown_without_a_comparison_the_objects_are_listed(folder: Path) -> None:
    assert "**1 objects, in order**" in plan(folder, "--output", "markdown").output


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--against", "nothing"), 1, "'nothing' is no commit"),
        (("--against", "HEAD", "--kubeconfig", "k"), 2, "not with both"),
        (("--environment", "staging"), 2, "no environment 'staging'"),
    ],
)
def test_wrong_use_is_said_in_a_sentence(
    folder: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    result = plan(folder, *words)
    assert result.exit_code == code
    assert said in result.stderr


def test_a_folder_in_no_repository_cannot_be_compared_with_a_revision(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: n}\n")
    result = plan(tmp_path, "--against", "HEAD")
    assert (result.exit_code, "no Git repository" in result.stderr) == (2, True)


def test_what_blocks_ends_with_one(folder: Path) -> None:
    (folder / "bad.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 7}\n")
    result = plan(folder)
    assert result.exit_code == 1
    assert "bad.yaml" in result.output


def test_a_revision_that_could_not_be_loaded_whole_is_said_to_be_so(folder: Path) -> None:
    good = (folder / "api.yaml").read_text(encoding="utf-8")
    (folder / "api.yaml").write_text("apiVersion: v1\nkind: [", encoding="utf-8")
    git(folder, "commit", "--quiet", "--all", "--message", "broken")
    (folder / "api.yaml").write_text(good, encoding="utf-8")
    result = plan(folder, "--against", "HEAD")
    assert "1 to create" in result.output
    assert "they look new here" in result.output


@pytest.mark.parametrize("form", ["text", "json", "markdown"])
def test_no_form_turns_a_line_around_or_moves_the_cursor(folder: Path, form: str) -> None:
    nasty = "\\u202e\\x9b31m\\e[2J\\U000E0041"
    text = f'apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{k: "{nasty}"}}\n'
    (folder / "nasty.yaml").write_text(text, encoding="utf-8")
    output = plan(folder, "--against", "HEAD", "--output", form).output
    assert "202e" in output
    assert [c for c in output if unicodedata.category(c) in {"Cc", "Cf"} and c != "\n"] == []

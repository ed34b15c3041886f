"""The command line: keys are made, listed and ended; stdio asks for its key."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pilothouse.cli.workspace import app

FILE = """\
workspaces:
  ws-a:
    url: https://git.example.com/team/a.git
    environments: {staging: {namespace: a}}
"""


class Shell:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "workspaces.yaml"
        self.file.write_text(FILE, encoding="utf-8")

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--workspaces", str(self.file)])


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    monkeypatch.setenv("PILOTHOUSE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("PILOTHOUSE_WORKSPACE_KEY", raising=False)
    # Nothing listens on this port.
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    return Shell(tmp_path)


NEW = ("key", "create", "Claude Code", "--workspace", "ws-a", "--scope", "files:read")


def test_a_key_is_shown_once_and_ends_when_it_is_revoked(shell: Shell) -> None:
    made = shell(*NEW, "--environment", "staging", "--output", "json")
    assert made.exit_code == 0, made.output
    key = json.loads(made.output)
    listed = shell("key", "list", "--output", "json")
    [line] = json.loads(listed.output)
    assert (line["id"], line["state"], line["environment"]) == (key["id"], "live", "staging")
    assert key["key"] not in listed.output and "digest" not in line
    revoked = shell("key", "revoke", key["id"])
    assert revoked.exit_code == 0
    assert f"{key['id']} is revoked" in revoked.output
    assert "end when their time is up: Temporal does not answer" in revoked.output
    assert "revoked" in shell("key", "list").output


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((*NEW, "--scope", "everything"), "files:read"),
        ((*NEW, "--environment", "production"), "production"),
        (("key", "create", "x", "--workspace", "ws-b", "--scope", "files:read"), "ws-b"),
        (("key", "revoke", "k000000000000"), "no key"),
        (("serve", "--transport", "stdio"), "PILOTHOUSE_WORKSPACE_KEY"),
    ],
)
def test_wrong_use_is_told_with_exit_code_2(
    shell: Shell, words: tuple[str, ...], complaint: str
) -> None:
    result = shell(*words)
    assert result.exit_code == 2
    assert complaint in result.stderr


def test_stdio_with_a_key_that_is_none_ends_before_it_serves(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILOTHOUSE_WORKSPACE_KEY", "phk_k000000000000_x_00000000")
    result = shell("serve", "--transport", "stdio")
    assert result.exit_code == 2
    assert "no live key" in result.stderr

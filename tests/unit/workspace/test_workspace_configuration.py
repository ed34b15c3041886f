"""The operator's file: complaints say what to write instead."""

from pathlib import Path

import pytest

from pilothouse.models.errors import PermanentError
from pilothouse.workspace.configuration import load_workspaces

GOOD = """\
workspaces:
  ws-model-api:
    url: https://git.example.com/team/model-api.git
    environments:
      staging: {namespace: model-api, kubeconfig: staging.kubeconfig}
    webhook_hosts: [hooks.example.com]
    webhook_secret_file: webhook.secret
    clone_from: ["https://git.example.com/team/prompts.git"]
keys_file: keys.json
calls_per_minute: 30
"""


def load(folder: Path, text: str) -> object:
    path = folder / "workspaces.yaml"
    path.write_text(text, encoding="utf-8")
    (folder / "webhook.secret").write_text("a secret of enough letters\n", encoding="utf-8")
    return load_workspaces(path, data_dir=folder / "data")


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "workspaces.yaml"
    load(tmp_path, GOOD)
    loaded = load_workspaces(path, data_dir=tmp_path / "data")
    workspace = loaded.workspaces["ws-model-api"]
    assert workspace.environments["staging"].kubeconfig == tmp_path / "staging.kubeconfig"
    assert (loaded.keys_file, loaded.calls_per_minute) == (tmp_path / "keys.json", 30)
    assert workspace.webhook_secret is not None
    assert "enough letters" not in repr(loaded)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (("ws-model-api", "model-api"), "ws-"),
        (("team/model-api.git", "team/../x.git"), "'..'"),
        (("calls_per_minute: 30", "calls_per_minute: 0"), "calls_per_minute"),
        (("namespace:", "name_space:"), "name_space"),
        (("    environments", "    status_branch: main\n    environments"), "never write"),
        (("    webhook_secret_file: webhook.secret\n", ""), "webhook_secret_file"),
        (("[hooks.example.com]", '["https://hooks.example.com/"]'), "webhook_hosts"),
        (("workspaces:", "workspaces: ["), "line"),
    ],
)
def test_a_complaint_names_the_file_and_the_place(
    tmp_path: Path, wrong: tuple[str, str], complaint: str
) -> None:
    with pytest.raises(PermanentError, match=r"workspaces\.yaml") as refused:
        load(tmp_path, GOOD.replace(*wrong))
    assert complaint in str(refused.value)


def test_a_short_secret_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(GOOD, encoding="utf-8")
    with pytest.raises(PermanentError, match="cannot be read"):
        load_workspaces(tmp_path / "w.yaml", data_dir=tmp_path)
    (tmp_path / "webhook.secret").write_text("short", encoding="utf-8")
    with pytest.raises(PermanentError, match="16 characters"):
        load_workspaces(tmp_path / "w.yaml", data_dir=tmp_path)

"""Settings: read once, from the environment, and never quoted when they are wrong."""

from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_settings import SettingsError

from pilothouse.clients.settings import (
    AGENT_CREDENTIALS,
    CREDENTIALS_OF,
    Settings,
    inherited_environment,
    read_settings,
    temporal_is_configured,
    worker_environment,
)
from pilothouse.models import names


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in inherited_environment():
        if name.startswith(("PILOTHOUSE_", "TEMPORAL_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_without_anything_set_all_data_is_below_the_users_own_folders(tmp_path: Path) -> None:
    settings = read_settings()
    assert settings.data_dir == tmp_path / ".local/share/pilothouse"
    assert settings.cache_dir == tmp_path / ".cache/pilothouse"
    assert (settings.kubeconfig, settings.context, settings.git_credentials) == (None, None, {})
    for folder in (settings.store_dir, settings.mirrors_dir, settings.scratch_dir):
        assert folder.parent == settings.data_dir


def test_the_usual_data_folders_of_a_system_are_respected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "d"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert read_settings().data_dir == tmp_path / "d/pilothouse"
    assert read_settings().cache_dir == tmp_path / "c/pilothouse"


def test_each_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTHOUSE_DATA_DIR", "/srv/data")
    monkeypatch.setenv("PILOTHOUSE_KUBECONFIG", "/srv/kubeconfig")
    monkeypatch.setenv("PILOTHOUSE_LOG_FORMAT", "console")
    monkeypatch.setenv("PILOTHOUSE_GIT_CREDENTIALS", '{"example.org": "Basic s3cr3t"}')
    settings = read_settings()
    assert settings.store_dir == Path("/srv/data/store")
    assert settings.kubeconfig == Path("/srv/kubeconfig")
    assert settings.log_format == "console"
    assert settings.git_credentials["example.org"].get_secret_value() == "Basic s3cr3t"


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_an_empty_variable_is_as_good_as_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = getattr(read_settings(), name)
    monkeypatch.setenv(f"PILOTHOUSE_{name.upper()}", "")
    assert getattr(read_settings(), name) == before


def test_a_credential_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTHOUSE_GIT_CREDENTIALS", '{"example.org": "Basic s3cr3t"}')
    settings = read_settings()
    assert "s3cr3t" not in f"{settings!r} {settings} {settings.model_dump_json()}"


@pytest.mark.parametrize("value", ['["Basic s3cr3t"]', "Basic s3cr3t", '{"a": ["s3cr3t"]}'])
def test_a_credential_in_the_wrong_form_is_refused_without_being_quoted(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILOTHOUSE_GIT_CREDENTIALS", value)
    with pytest.raises((ValidationError, SettingsError)) as refused:
        read_settings()
    assert "git_credentials" in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


def test_an_unknown_log_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTHOUSE_LOG_FORMAT", "xml")
    with pytest.raises(ValidationError, match="log_format"):
        read_settings()


def test_settings_do_not_change_after_the_start() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read_settings().log_level = "debug"  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize("name", ["TEMPORAL_ADDRESS", "TEMPORAL_PROFILE"])
def test_temporal_is_configured_by_its_own_variables(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not temporal_is_configured()
    monkeypatch.setenv(name, "x")
    assert temporal_is_configured()


def test_a_process_of_ours_inherits_our_environment_with_overrides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("A", "1")
    monkeypatch.setenv("B", "1")
    given = inherited_environment(B="2")
    assert (given["A"], given["B"]) == ("1", "2")


# -- secrets --------------------------------------------------------------------------------------

EACH_SECRET: dict[str, object] = {
    "git_credentials": {"example.org": "Basic canary-git"},
    "anthropic_api_key": "canary-anthropic",
    "openai_api_key": "canary-openai",
    "model_endpoints": {"local": {"base_url": "http://localhost:1/v1", "api_key": "canary-local"}},
    "model_proxy": "http://user:canary-proxy@localhost:1",
    "mcp_tokens": {"web": {"value": "canary-mcp", "origin": "https://mcp.example.org"}},
    "workspace_key": "canary-workspace",
}
"""Field -> a value that holds a secret; each secret holds the word canary."""


def test_every_field_that_can_hold_a_secret_is_known_to_the_test_below() -> None:
    assert {name for name, field in Settings.model_fields.items() if secret(field.annotation)} == {
        *EACH_SECRET
    }


@pytest.mark.parametrize("field", EACH_SECRET)
def test_the_secret_of_each_field_is_one_that_redactors_get(field: str) -> None:
    settings = Settings.model_validate({field: EACH_SECRET[field]})
    [only] = settings.secrets()
    assert "canary" in only
    assert settings.secrets([field]) == (only,)


def test_a_redactor_of_the_agents_queue_gets_that_queues_secrets() -> None:
    settings = Settings.model_validate(EACH_SECRET)
    theirs = " ".join(settings.secrets(AGENT_CREDENTIALS))
    assert [field for field in EACH_SECRET if settings.secrets([field])[0] not in theirs] == [
        "git_credentials",
        "workspace_key",
    ]


def secret(annotation: object) -> bool:
    """Whether a value of this type can hold a `SecretStr`, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return any(secret(field.annotation) for field in annotation.model_fields.values())
    return annotation is SecretStr or any(secret(each) for each in get_args(annotation))


# -- workers --------------------------------------------------------------------------------------


def test_a_worker_does_not_inherit_what_opens_other_queues_doors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("ANTHROPIC_API_KEY", "MCP_TOKENS", "GIT_CREDENTIALS", "KUBECONFIG", "CONTEXT"):
        monkeypatch.setenv(f"PILOTHOUSE_{name}", "{}")
    monkeypatch.setenv("KUBECONFIG", "/srv/kubeconfig")
    monkeypatch.setenv("HTTPS_PROXY", "http://localhost:1")

    def held(*queues: str) -> set[str]:
        given = worker_environment(queues, PILOTHOUSE_DATA_DIR="/srv/data")
        assert given.pop("PILOTHOUSE_DATA_DIR") == "/srv/data"
        assert given["HTTPS_PROXY"] == "http://localhost:1"
        return {name for name in given if name.startswith(("PILOTHOUSE_", "KUBECONFIG"))}

    assert held(names.WORKFLOW_QUEUE, names.WORKSPACE_QUEUE) == set()
    assert held(names.WORKFLOW_QUEUE, names.GIT_QUEUE) == {"PILOTHOUSE_GIT_CREDENTIALS"}
    assert held(names.AGENTS_QUEUE) == {"PILOTHOUSE_ANTHROPIC_API_KEY", "PILOTHOUSE_MCP_TOKENS"}
    cluster = {"PILOTHOUSE_KUBECONFIG", "PILOTHOUSE_CONTEXT", "KUBECONFIG"}
    assert held(names.CLUSTER_QUEUE) == cluster


def test_each_secret_belongs_to_one_queue_or_to_the_workspace_server() -> None:
    owned = [field for fields in CREDENTIALS_OF.values() for field in fields]
    assert len(owned) == len(set(owned))
    assert set(owned) <= set(Settings.model_fields)
    assert set(EACH_SECRET) - set(owned) == {"workspace_key"}

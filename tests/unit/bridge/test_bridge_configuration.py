from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from pilothouse.bridge.configuration import (
    BridgeConfiguration,
    WatchedRepository,
    load_repositories,
    load_secrets,
)
from pilothouse.models.errors import PermanentError
from pilothouse.models.repository import RepositoryRef

SECRET = SecretStr("0123456789abcdef")
APP = WatchedRepository(
    repository=RepositoryRef(url="https://git.example.com/acme/app.git"), full_name="acme/app"
)


def test_a_file_of_repositories_is_read_with_its_secrets(tmp_path: Path) -> None:
    (tmp_path / "app.secret").write_text("the-old-secret-1234\n\nthe-new-secret-5678\n")
    file = tmp_path / "repositories.yaml"
    file.write_text(
        "repositories:\n"
        "- url: https://git.example.com/acme/app.git\n"
        "  default_branch: trunk\n"
        "  secret_file: app.secret\n"
        "- url: ssh://git@git.example.com/acme/other\n"
        "  full_name: Acme/Renamed\n"
    )
    app, other = load_repositories(file)
    assert (app.full_name, app.repository.default_ref) == ("acme/app", "refs/heads/trunk")
    assert [secret.get_secret_value() for secret in app.secrets] == [
        "the-old-secret-1234",
        "the-new-secret-5678",
    ]
    assert (other.key, other.secrets) == ("acme/renamed", ())


def test_json_is_read_as_well(tmp_path: Path) -> None:
    file = tmp_path / "repositories.json"
    file.write_text('{"repositories": [{"url": "https://git.example.com/acme/app"}]}')
    (app,) = load_repositories(file)
    assert app.repository.default_branch == "main"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("repositories: [{url: 'file:///etc'}]", "expected an http, https or ssh URL"),
        ("repositories: [{url: 'https://h/a/b', secret: x}]", "repositories.0.secret"),
        ("repositories: [{url: 'https://h/a/b', default_branch: 'a..b'}]", "name of a branch"),
        ("repositories: [{url: 'https://h/a/b', secret_file: none}]", "cannot be read"),
        ("repositories: [", "line 1"),
        ("[]", "valid dictionary"),
        ("\x00", "YAML"),
    ],
)
def test_a_wrong_file_is_explained_and_not_quoted(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "repositories.yaml"
    file.write_text(text)
    with pytest.raises(PermanentError) as caught:
        load_repositories(file)
    assert caught.value.type == "InvalidRequest"
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_an_empty_secret_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    with pytest.raises(PermanentError, match="is empty"):
        load_secrets(tmp_path / "secret")


def test_a_repository_without_any_secret_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="no webhook secret for acme/app"):
        BridgeConfiguration(journal=tmp_path / "j", repositories=(APP,))


def test_a_name_that_differs_in_case_only_is_configured_twice(tmp_path: Path) -> None:
    twin = APP.model_copy(update={"full_name": "ACME/App"})
    with pytest.raises(ValidationError, match="configured twice: acme/app"):
        BridgeConfiguration(journal=tmp_path / "j", repositories=(APP, twin), secrets=(SECRET,))


def test_a_short_secret_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="at least 16") as caught:
        BridgeConfiguration(
            journal=tmp_path / "j", repositories=(APP,), secrets=(SecretStr("hunter2"),)
        )
    assert "hunter2" not in str(caught.value)


def test_more_secrets_than_a_forged_request_may_cost_are_refused(tmp_path: Path) -> None:
    many = tuple(SecretStr(f"secret-number-{number:04}") for number in range(65))
    with pytest.raises(ValidationError, match="at most 64"):
        BridgeConfiguration(journal=tmp_path / "j", repositories=(APP,), secrets=many)


def test_secrets_do_not_show_in_a_printed_configuration(tmp_path: Path) -> None:
    configuration = BridgeConfiguration(
        journal=tmp_path / "j", repositories=(APP,), secrets=(SECRET,)
    )
    assert SECRET.get_secret_value() not in repr(configuration) + configuration.model_dump_json()

"""pipeline: the check before anything runs, and the schema for editors."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pilothouse.cli.main import application
from pilothouse.cli.pipeline_schema import pipeline_schema
from pilothouse.gitops.pipeline_file import parse_pipeline
from pilothouse.models.notation import MODEL, TRIGGER
from pilothouse.models.short_form import ACTION

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "docs" / "reference" / "pipeline.schema.json"
EXAMPLES = sorted((ROOT / "examples").glob("*/pipeline.yaml"))
SHORT = "workflow:\n  trigger: pull_request\n  actions: [validate_model, deploy_to_workspace]\n"


def run(*words: str, text: str | None = None) -> Any:
    return CliRunner().invoke(application("pipeline"), ["pipeline", *words], input=text)


# -- check ----------------------------------------------------------------------------------------


def test_a_good_file_is_shown_as_it_was_understood() -> None:
    result = run("check", "-", text=SHORT)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert "    emits    status.validated -> deployer" in lines
    assert "  workspace: namespace workspace; nobody is asked" in lines


def test_an_error_has_its_line_and_ends_with_one(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(SHORT.replace("validate_model", "valdate_model"), encoding="utf-8")
    for path in (file, tmp_path):
        result = run("check", str(path))
        assert result.exit_code == 1
        assert f"{file}:3: error [pipeline-file]" in result.stdout
        assert "did you mean validate?" in result.stdout


def test_warnings_are_said_and_end_with_nought() -> None:
    text = "pipeline: {agents: {validator: {trigger: manual}}, environments: {}}"
    result = run("check", "-", text=text)
    assert result.exit_code == 0
    assert "standard input:1: warning [pipeline-file]: there is no environment" in result.stdout
    assert "0 errors, 1 warnings, 0 notes" in result.stdout.splitlines()


def test_as_json_there_is_one_document_with_findings_and_pipeline() -> None:
    good = json.loads(run("check", "-", "-o", "json", text=SHORT).stdout)
    assert good["findings"] == []
    assert [agent["name"] for agent in good["pipeline"]["agents"]] == ["validator", "deployer"]
    bad = run("check", "-", "--output", "json", text="pipeline: {}")
    assert bad.exit_code == 1
    assert json.loads(bad.stdout)["pipeline"] is None
    assert [f["path"] for f in json.loads(bad.stdout)["findings"]] == ["/pipeline/agents"]


@pytest.mark.parametrize("path", ["nowhere.yaml", "."])
def test_what_cannot_be_read_ends_with_two(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("check", path)
    assert result.exit_code == 2
    assert "No such file" in result.stderr


def test_a_prompt_file_is_looked_for_in_the_folder_of_the_pipeline_file(tmp_path: Path) -> None:
    agent = "{trigger: manual, prompt_file: .agents/a.md}"
    (tmp_path / "pipeline.yaml").write_text(
        f"pipeline: {{agents: {{deployer: {agent}}}, environments: {{a: {{namespace: a}}}}}}",
        encoding="utf-8",
    )
    missing = run("check", str(tmp_path))
    assert missing.exit_code == 1
    assert ".agents/a.md does not exist" in missing.stdout
    (tmp_path / ".agents").mkdir()
    (tmp_path / ".agents" / "a.md").write_text("Look.", encoding="utf-8")
    assert run("check", str(tmp_path)).exit_code == 0


# -- schema ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for(json.loads(PUBLISHED.read_text(encoding="utf-8")))


def test_the_published_schema_is_the_one_of_this_version() -> None:
    assert run("schema").stdout == pipeline_schema()
    assert PUBLISHED.read_text(encoding="utf-8") == pipeline_schema(), (
        "pilothouse pipeline schema > docs/reference/pipeline.schema.json"
    )


def test_the_schema_is_one_and_explains_every_key() -> None:
    document = json.loads(pipeline_schema())
    jsonschema_rs.meta.validate(document)
    assert "2020-12" in document["$schema"]
    for name, definition in document["$defs"].items():
        assert definition["description"], name
        plain = [
            key
            for key, field in definition["properties"].items()
            if not field.get("description") and key not in {"api_version", "kind"}
        ]
        assert plain == [], name


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_each_example_fits_the_schema(file: Path, schema: jsonschema_rs.Validator) -> None:
    schema.validate(yaml.safe_load(file.read_text(encoding="utf-8")))


@given(
    st.from_regex(TRIGGER, fullmatch=True),
    st.from_regex(MODEL, fullmatch=True),
    st.from_regex(ACTION, fullmatch=True),
)
def test_what_is_taken_fits_the_schema(
    schema: jsonschema_rs.Validator, trigger: str, model: str, action: str
) -> None:
    agent = {"trigger": [trigger], "model": model}
    for document in (
        {"pipeline": {"agents": {"poet": agent}}},
        {"workflow": {"trigger": ["push", "manual"], "actions": [action]}},
    ):
        pipeline, errors = parse_pipeline(json.dumps(document).encode())
        assert pipeline is not None, errors
        assert schema.is_valid(document)


def test_both_forms_fit_the_schema_and_never_together(schema: jsonschema_rs.Validator) -> None:
    short = yaml.safe_load(SHORT)
    full = {"pipeline": {"agents": {"validator": {"trigger": "webhook.pull_request"}}}}
    assert schema.is_valid(short)
    assert schema.is_valid(full)
    assert not schema.is_valid(short | full)
    assert not schema.is_valid({})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("agents:", "agent:"),
        ("trigger: status.validated", "triger: status.validated"),
        ("status.validated", "stauts.validated"),
        ("cron.5min", "cron.often"),
        ("prompt_file: ", "prompt_flie: "),
        ("model: scripted:", "model: "),
        ("turns: 8", "turns: many"),
        ("turns: 8", "turns: 800"),
        ("time: 3m", "time: 3 minutes"),
        ("on_error: human", "on_error: hope"),
        ("licences_accepted,", "Licences-Accepted,"),
        ("staging:", "Staging!:"),
        ("namespace: translator-staging", "namespace: Translator"),
        ("licence-reviewer:", "licence reviewer:"),
    ],
)
def test_a_typo_does_not_fit_the_schema(
    old: str, new: str, schema: jsonschema_rs.Validator
) -> None:
    text = (ROOT / "examples/licence-review/pipeline.yaml").read_text(encoding="utf-8")
    assert old in text
    assert not schema.is_valid(yaml.safe_load(text.replace(old, new)))


@pytest.mark.parametrize("action", ["valdate", "deploy", "deploy_to_", "make tea"])
def test_an_unknown_action_does_not_fit_the_schema(
    action: str, schema: jsonschema_rs.Validator
) -> None:
    assert not schema.is_valid({"workflow": {"trigger": "push", "actions": [action]}})

"""The documentation agrees with the code, and with itself."""

import json
import re
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pilothouse.bridge.configuration import load_repositories
from pilothouse.cli.main import application
from pilothouse.clients.settings import Settings
from pilothouse.gitops.pipeline_file import parse_pipeline
from pilothouse.gitops.status_files import status_files
from pilothouse.gitops.validation.rules import RULES
from pilothouse.local.nodes.pods.behavior import BEHAVIORS, PREFIX
from pilothouse.models import names
from pilothouse.models.errors import ErrorType
from pilothouse.models.pipeline import (
    Agent,
    Approval,
    Budget,
    Environment,
    McpServer,
    Pipeline,
    Status,
)
from pilothouse.models.runs import CommandResult, PipelineResult, StageReport, TestReport
from tests.docs.pages import ROOT, Page, all_pages, codes, page, rows
from tests.docs.rule_tables import written_anew
from tests.docs.samples import deployed

PAGES = all_pages()


def commands_of(group: Any, words: tuple[str, ...] = ()) -> dict[str, Any]:
    """Every command by its words, those of groups included."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= commands_of(command, (*words, name))
        else:
            found[" ".join((*words, name))] = command
    return found


COMMANDS = commands_of(typer.main.get_command(application()))
HOSTS = {
    "git.example.org",
    "hooks.example.org",
    "temporal.example.org",
    "localhost",
    "127.0.0.1",
    "keepachangelog.com",
    "semver.org",
}
"""Every host that a page may name: ours to invent, this machine, and two conventions."""
_HOST = re.compile(r"(?:https?|ssh)://(?:[^\s/@`]+@)?([\w.-]+)")
_MACHINE_PATH = re.compile(r"(?<![\w.~>*/$}])/(?:work|root|home|tmp|mnt|Users)\b")


def ids(one: Page) -> str:
    return one.name


# -- pages ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", PAGES, ids=ids)
def test_each_internal_link_leads_somewhere(one: Page) -> None:
    broken = []
    for link in one.links:
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = Page((one.path.parent / file).resolve()) if file else one
        if not target.path.is_file() or (anchor and anchor not in target.anchors):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("one", PAGES, ids=ids)
def test_no_page_names_a_strange_host_or_a_path_of_some_machine(one: Page) -> None:
    assert set(_HOST.findall(one.text)) <= HOSTS
    assert _MACHINE_PATH.findall(one.text) == []


@pytest.mark.parametrize("one", PAGES, ids=ids)
def test_no_page_holds_an_emoji_or_a_line_that_nobody_can_read(one: Page) -> None:
    assert [character for character in one.text if ord(character) > 0x2FFF] == []
    long = [line for line in one.prose.splitlines() if len(line) > 120 and line[0] != "|"]
    assert long == []


def test_every_page_of_the_documentation_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    pending = [ROOT / "README.md"]
    while pending:
        path = pending.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        links = (link.partition("#")[0] for link in Page(path).links if "://" not in link)
        pending += [(path.parent / link).resolve() for link in links if link]
        if path.parent.name == "decisions":
            pending += sorted(path.parent.glob("*.md"))
    assert {one.path for one in PAGES} - reached == set()


def test_the_readme_fits_on_two_screens_and_its_make_targets_exist() -> None:
    readme = page("README.md").text
    targets = set(re.findall(r"(?m)^make (\w+)", readme))
    made = set(re.findall(r"(?m)^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8")))
    assert {"demo", "test"} <= targets <= made
    assert len(readme.splitlines()) < 120


# -- examples -------------------------------------------------------------------------------------


@pytest.mark.parametrize("one", PAGES, ids=ids)
def test_each_pipeline_file_that_is_shown_is_one(one: Page) -> None:
    for fence in one.fences:
        if fence.language == "yaml" and re.search(r"(?m)^(pipeline|workflow):", fence.text):
            pipeline, findings = parse_pipeline(fence.text.encode())
            assert pipeline is not None, findings


def test_the_repositories_file_that_is_shown_is_one(tmp_path: Path) -> None:
    (shown,) = (
        fence.text
        for fence in page("docs/how-to/receive-github-webhooks.md").fences
        if fence.language == "yaml"
    )
    (tmp_path / "repositories.yaml").write_text(shown, encoding="utf-8")
    (tmp_path / "shop-secret").write_text("x" * 32, encoding="utf-8")
    first, second = load_repositories(tmp_path / "repositories.yaml")
    assert (first.full_name, second.full_name) == ("team/model-api", "team/shop")
    assert (len(first.secrets), len(second.secrets)) == (0, 1)


def typed_lines(one: Page) -> list[list[str]]:
    """Every command of the shell blocks, split into words; comments and here-documents end it."""
    lines = []
    for fence in one.fences:
        if fence.language in {"sh", "console"}:
            for line in fence.text.replace("\\\n", " ").splitlines():
                if line.startswith(("pilothouse ", "temporal ")):
                    lines.append(shlex.split(line, comments=True))
    return lines


@pytest.mark.parametrize("one", PAGES, ids=ids)
def test_each_pilothouse_line_uses_commands_and_options_that_exist(one: Page) -> None:
    for program, *words in typed_lines(one):
        if program != "pilothouse":
            continue
        command = next(
            " ".join(words[:many]) for many in (1, 2, 3) if " ".join(words[:many]) in COMMANDS
        )
        known = {name for option in COMMANDS[command].params for name in spellings(option)}
        used = {word for word in words if re.match(r"^--?[a-z]", word)}
        assert used <= known, command


@pytest.mark.parametrize("one", PAGES, ids=ids)
def test_each_temporal_line_uses_messages_and_types_that_exist(one: Page) -> None:
    messages = {v for k, v in vars(names).items() if k.startswith(("SIGNAL_", "QUERY_", "UPDATE_"))}
    types = {value for name, value in vars(names).items() if name.endswith("_WORKFLOW")}
    for words in typed_lines(one):
        if words[:2] != ["temporal", "workflow"]:
            continue
        options = dict(zip(words, words[1:], strict=False))
        assert options.get("--name", names.SIGNAL_APPROVE) in messages
        assert options.get("--type", names.PIPELINE_WORKFLOW) in types
        if "--input" in options:
            assert isinstance(json.loads(re.sub(r"\$\w+", "x", options["--input"])), dict)


# -- reference: the command -----------------------------------------------------------------------


def spellings(option: Any) -> list[str]:
    """How an option or argument is written on the page."""
    if option.param_type_name == "argument":
        return [option.name.upper()]
    return [*option.opts, *option.secondary_opts]


def test_the_command_page_has_a_section_for_each_command_and_no_other() -> None:
    titles = re.findall(r"(?m)^## pilothouse ([\w ]+)$", page("docs/reference/cli.md").text)
    assert titles == list(COMMANDS)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_each_option_is_documented_with_its_default(command: str) -> None:
    table = rows(page("docs/reference/cli.md").section(f"pilothouse {command}"))
    written = {tuple(codes(row[0])): row[1] for row in table}
    params = {tuple(spellings(each)): each for each in COMMANDS[command].params}
    assert set(written) == set(params)
    for words, param in params.items():
        if param.required:
            assert written[words] == "required"
        elif isinstance(param.default, str | int) and not isinstance(param.default, bool):
            default = str(param.default)
            assert default in written[words] if default else "`" not in written[words], words


# -- reference: files and settings ----------------------------------------------------------------


def shown_default(field: FieldInfo) -> str:
    """How a default is written on the page."""
    if field.is_required():
        return "required"
    match field.default:
        case BaseModel():
            return "see below"
        case None:
            return "none"
        case bool():
            return f"`{str(field.default).lower()}`"
        case dict() as entries if entries:
            return ", ".join(f"`{name}`" for name in entries)
        case "" | () | {}:
            return "empty"
        case default:
            return f"`{default}`"


@pytest.mark.parametrize(
    ("section", "model"),
    [
        ("pipeline", Pipeline),
        ("agents", Agent),
        ("budget", Budget),
        ("MCP servers", McpServer),
        ("environments", Environment),
        ("approval", Approval),
        ("status", Status),
    ],
)
def test_each_key_of_the_pipeline_file_is_documented_with_its_default(
    section: str, model: type[BaseModel]
) -> None:
    table = [
        r for r in rows(page("docs/reference/pipeline-file.md").section(section)) if len(r) == 4
    ]
    written = {codes(row[0])[0]: row[2] for row in table}
    assert written == {name: shown_default(field) for name, field in model.model_fields.items()}


def test_each_setting_is_documented_with_its_default() -> None:
    table = rows(page("docs/reference/settings.md").section("Pilothouse"))
    written = {codes(row[0])[0]: row[1] for row in table if len(row) == 3}
    fields = Settings.model_fields
    assert set(written) == {f"PILOTHOUSE_{name.upper()}" for name in fields}
    for name, field in fields.items():
        if field.default_factory is None:
            default = "empty" if field.default == {} else shown_default(field)
            assert written[f"PILOTHOUSE_{name.upper()}"] == default


def test_each_status_file_is_documented_with_its_keys() -> None:
    result = PipelineResult(
        revision="a" * 40,
        event="push",
        outcome="succeeded",
        stages=(
            StageReport(
                agent="tester",
                outcome="passed",
                tests=TestReport(
                    passed=True,
                    commands=(CommandResult(command="t", exit_code=0, seconds=0, output=""),),
                ),
            ),
            StageReport(
                agent="deployer", outcome="passed", environment="staging", deployment=deployed()
            ),
        ),
    )
    files = status_files(result, run="pipeline/localhost/a/push/" + "a" * 40)
    places = {
        "status/runs/push-aaaaaaaaaaaa.json": "status/runs/&lt;event&gt;-&lt;revision&gt;.json",
        "status/tests/aaaaaaaaaaaa.json": "status/tests/&lt;revision&gt;.json",
        "status/environments/staging.json": "status/environments/&lt;environment&gt;.json",
    }
    assert set(files) == set(places)
    for path, text in files.items():
        table = rows(page("docs/reference/status-files.md").section(places[path]))
        content = json.loads(text)
        assert [codes(row[0])[0] for row in table] == list(content), path
        for key, value in content.items():
            if isinstance(value, list):
                meaning = next(row[1] for row in table if codes(row[0]) == [key])
                assert codes(meaning) == list(value[0]), path


# -- reference: names, errors, rules --------------------------------------------------------------


def test_each_error_type_is_documented_and_no_other() -> None:
    table = [row for row in rows(page("docs/reference/errors.md").text) if len(row) == 4]
    assert [codes(row[0])[0] for row in table] == list(get_args(ErrorType))


def test_the_error_page_says_of_each_type_whether_it_is_retried() -> None:
    table = [row for row in rows(page("docs/reference/errors.md").text) if len(row) == 4]
    written = {codes(row[0])[0]: row[1] for row in table}
    words = {"Permanent": "final", "Temporary": "retried"}
    raised = re.compile(r"(Permanent|Temporary)Error\(\s*\"(\w+)\"")
    for room in ("pilothouse", "activities"):
        for file in (ROOT / room).rglob("*.py"):
            if (ROOT / "pilothouse" / "cli" / "demo") in file.parents:
                continue  # the demo's own patience is no error of a workflow
            for kind, error_type in raised.findall(file.read_text(encoding="utf-8")):
                assert words[kind] in written[error_type], f"{error_type} in {file.name}"


def test_each_rule_is_documented_in_its_own_words() -> None:
    table = [row for row in rows(page("docs/reference/rules.md").text) if len(row) == 5]
    written = {codes(row[0])[0]: row[1:] for row in table}
    assert written == {r.id: [r.severity, r.title, r.why, r.fix] for r in RULES}


def test_the_tables_of_rules_are_made_from_the_rules() -> None:
    text = page("docs/reference/rules.md").text
    assert written_anew(text) == text


def test_each_search_attribute_queue_and_id_is_documented() -> None:
    text = page("docs/reference/search-attributes-and-ids.md").text
    slug, environment, revision = "<host>/<path>", "<environment>", "<revision>"
    forms = (
        names.repository_id(slug),
        names.pipeline_id(slug, "<event>", revision),
        names.deployment_id(slug, environment, revision),
        names.environment_id(slug, environment),
        names.lease_id(slug, environment, "<key id>"),
        names.monitor_id(slug, environment, "<look>"),
        names.schedule_id(slug, environment),
        names.rollback_id(slug, environment, "<request id>"),
        names.OWNER_LABEL,
        names.FIELD_MANAGER,
        *names.TASK_QUEUES,
        *names.SEARCH_ATTRIBUTES,
    )
    assert [form for form in forms if f"`{form}`" not in text] == []
    registered = dict(re.findall(r"--name (\w+) --type (\w+)", text))
    assert registered == names.SEARCH_ATTRIBUTES


def test_each_behaviour_and_annotation_of_the_simulated_nodes_is_documented() -> None:
    shown = page("docs/reference/node-simulator.md")
    written = [codes(row[0])[0] for row in rows(shown.text)]
    annotations = [f"{PREFIX}{name}" for name in ("behavior", "behavior.<container>")]
    assert written[:2] == annotations
    assert written[2:4] == [f"{PREFIX}log", f"{PREFIX}exit-code"]
    assert tuple(written[4:]) == BEHAVIORS

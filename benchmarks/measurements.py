"""What is measured: the plan as data, and each result as one line of JSON."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import TypeAdapter
from temporalio.client import Client

from benchmarks.histories import history_bytes
from pilothouse.cli.demo.observer import Observer
from pilothouse.clients.folder import validate_folder
from pilothouse.models import names
from pilothouse.models.findings import Finding, ValidationReport
from pilothouse.models.runs import PipelineResult, StageReport

MOST_REASONS = 3


@dataclass(frozen=True)
class Case:
    """One push; `real_repositories.yaml` says what the fields mean."""

    project: str
    name: str
    repository: str
    manifests: str
    environments: dict[str, str]
    administrator: bool = False
    absent: tuple[str, ...] = ()
    stand_ins: tuple[str, ...] = ()
    health_timeout: str = "3m"


@dataclass(frozen=True)
class Plan:
    """The file beside this one."""

    validate: tuple[str, ...]
    """Folders of the repositories to validate as a whole."""
    pushes: tuple[Case, ...]


def read_plan() -> Plan:
    """The plan, checked."""
    text = Path(__file__).with_name("real_repositories.yaml").read_text(encoding="utf-8")
    return TypeAdapter(Plan).validate_python(yaml.safe_load(text))


def validation_line(originals: Path, repository: str) -> dict[str, object]:
    """Validate a repository's whole folder, as `pilothouse validate` does."""
    started = time.monotonic()
    report = validate_folder(originals / repository)
    seconds = time.monotonic() - started
    return {
        "repository": repository,
        "case": "validate the whole folder",
        "objects": report.objects,
        "validate_s": round(seconds, 2),
        "outcome": report.verdict,
        **_counted(report),
        "rules": Counter(f"{found.severity} {found.rule}" for found in report.findings),
        "refused": _reasons(report.findings),
    }


def _counted(report: ValidationReport) -> dict[str, int]:
    severities = Counter(found.severity for found in report.findings)
    return {"errors": severities["error"], "warnings": severities["warning"]}


def _reasons(findings: tuple[Finding, ...]) -> list[str]:
    errors = [found for found in findings if found.severity == "error"]
    return [f"{e.file}:{e.line} [{e.rule}] {e.message}" for e in errors[:MOST_REASONS]]


def push_lines(case: Case, result: PipelineResult) -> Iterator[dict[str, object]]:
    """One line for each environment that was tried; one, if the run ended before any."""
    validator = next((stage for stage in result.stages if stage.validation), None)
    deployments = [stage for stage in result.stages if stage.deployment]
    for stage in deployments or (None,):
        yield {
            "repository": case.repository,
            "case": case.name + (f": {stage.environment}" if stage and stage.environment else ""),
            **_validated(validator),
            **_deployed(stage),
            "outcome": stage.deployment.outcome if stage and stage.deployment else result.outcome,
            "refused": _refused(result, validator, stage),
        }


def _validated(stage: StageReport | None) -> dict[str, object]:
    if stage is None or stage.validation is None:
        return {"objects": 0}
    report = stage.validation
    seconds = round(stage.seconds, 2)
    return {"objects": report.objects, "validate_s": seconds, **_counted(report)}


def _deployed(stage: StageReport | None) -> dict[str, object]:
    """Seconds from the start of the deployment to the last write, and from there to healthy."""
    if stage is None or stage.deployment is None:
        return {}
    health = stage.deployment.health
    waited = health.seconds if health else 0.0
    found: dict[str, object] = {"deploy_s": round(stage.deployment.seconds - waited, 1)}
    if health is None:
        return found
    return found | {"objects": health.objects, "healthy_s": round(waited, 1)}


def _refused(
    result: PipelineResult, validator: StageReport | None, stage: StageReport | None
) -> list[str]:
    """The first reasons, from wherever the run came to its end."""
    if validator and validator.validation and validator.validation.verdict == "block":
        return _reasons(validator.validation.findings)
    if stage is None or stage.deployment is None:
        return [result.message] if result.message else []
    deployment = stage.deployment
    reasons = [*_reasons(deployment.plan.findings)] if deployment.plan else []
    if deployment.apply:
        reasons += [f"{p.object}: {p.result} {p.message}" for p in deployment.apply.problems]
    if deployment.health:
        reasons += [f"{w.object}: {w.status}: {w.message}" for w in deployment.health.waiting_for]
    if deployment.outcome != "deployed":
        reasons.append(deployment.message)
    return reasons[:MOST_REASONS]


async def history_sizes(client: Client, slug: str, revision: str, case: Case) -> dict[str, int]:
    """How large the histories of the run and of its deployments became."""
    ids = [names.pipeline_id(slug, "push", revision)]
    ids += [names.deployment_id(slug, name, revision) for name in case.environments]
    observer = Observer(client, slug)
    return await history_bytes(client, [each for each in ids if await observer.exists(each)])

"""validate: any folder of manifests, without Temporal and without a network.

The answer to the same files comes from the cache, before any of this is imported: see `cached`.
"""

import json
import sys
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pilothouse.cli.cached import NO_CACHE
from pilothouse.cli.console import ANSWER_IS_NO, clear_errors

if TYPE_CHECKING:
    from pilothouse.models.findings import ValidationReport


class ValidationOutput(StrEnum):
    """How findings are printed."""

    text = "text"
    json = "json"
    sarif = "sarif"
    github = "github"


class PodSecurity(StrEnum):
    """Levels of the Pod Security Standards."""

    privileged = "privileged"
    baseline = "baseline"
    restricted = "restricted"


Where = Annotated[Path, typer.Argument(help="A repository, a folder of manifests, or one file.")]
OutputOption = Annotated[
    ValidationOutput, typer.Option("--output", "-o", help="text, json, sarif or github.")
]
Version = Annotated[
    str, typer.Option("--kubernetes-version", help="Whose schemas to check with, e.g. 1.36.")
]
PodSecurityOption = Annotated[
    PodSecurity | None,
    typer.Option("--pod-security", help="privileged, baseline or restricted, for every pod."),
]
All = Annotated[bool, typer.Option("--all", help="Print the notes in full too, as text.")]
NoCache = Annotated[
    bool, typer.Option(NO_CACHE, help="Neither use nor keep the answer to the same files.")
]


def validate(
    path: Where,
    kubernetes_version: Version = "1.36",
    pod_security: PodSecurityOption = None,
    output: OutputOption = ValidationOutput.text,
    all_: All = False,
    no_cache: NoCache = False,
) -> None:
    """Check every object: YAML, schemas, references, Pod Security, practices, own rules.

    Exit code 0: nothing blocks. 1: findings that block. 2: wrong use.

    Example: pilothouse validate manifests/ --output json
    """
    today = datetime.now(UTC).date()
    with clear_errors():
        report = _report(path, kubernetes_version, pod_security, today)
        sys.stdout.write(_text(report, output, path, everything=all_))
    if report.verdict == "block":
        raise typer.Exit(ANSWER_IS_NO)


def _report(
    path: Path, kubernetes_version: str, pod_security: PodSecurity | None, today: date
) -> "ValidationReport":
    from pilothouse.clients.folder import validate_folder

    return validate_folder(
        path,
        kubernetes_version=kubernetes_version,
        pod_security=pod_security.value if pod_security else None,
        today=today,
    )


def _text(
    report: "ValidationReport", output: ValidationOutput, path: Path, *, everything: bool
) -> str:
    match output:
        case ValidationOutput.text:
            from pilothouse.gitops.reports.findings import validation_text
            from pilothouse.gitops.validation.rules import RULES

            titles = {rule.id: rule.title for rule in RULES}
            return validation_text(report, titles, everything=everything)
        case ValidationOutput.github:
            from pilothouse.gitops.reports.annotations import annotations

            return "".join(f"{line}\n" for line in annotations(report.findings, base=_base(path)))
        case ValidationOutput.sarif:
            from importlib.metadata import version

            from pilothouse.gitops.reports.sarif import sarif
            from pilothouse.gitops.validation.rules import RULES

            own = version("pilothouse")
            return _json(sarif(report.findings, RULES, version=own, base=_base(path)))
        case ValidationOutput.json:
            findings = [finding.model_dump(mode="json") for finding in report.findings]
            return _json({"findings": findings, "objects": report.objects})


def _base(path: Path) -> str:
    """The validated folder below the working directory, where CI has the repository's root."""
    folder = (path if path.is_dir() else path.parent).resolve()
    here = Path.cwd().resolve()
    return folder.relative_to(here).as_posix() if folder.is_relative_to(here) else ""


def _json(document: object) -> str:
    return json.dumps(document, ensure_ascii=False) + "\n"

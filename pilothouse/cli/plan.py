"""plan: what a folder of manifests would change, against a cluster, another revision or nothing."""

import asyncio
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pilothouse.cli.console import (
    ANSWER_IS_NO,
    WRONG_USE,
    clear_errors,
    fail,
    print_json,
    say,
)
from pilothouse.cli.targets import (
    ContextOption,
    EnvironmentOption,
    Target,
    Where,
    chosen,
    compare_with_cluster,
    files_at,
    read_target,
)
from pilothouse.models.findings import Finding
from pilothouse.models.names import short
from pilothouse.models.objects import Plan

_COMMENT_BYTES = 60_000
"""A comment below a pull request holds no more."""


class PlanOutput(StrEnum):
    """How a plan is printed."""

    text = "text"
    json = "json"
    markdown = "markdown"


PlanOutputOption = Annotated[
    PlanOutput, typer.Option("--output", "-o", help="text, json or markdown.")
]


def plan(
    path: Where = Path(),
    environment: EnvironmentOption = "",
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Compare with this cluster; writes nothing to it.")
    ] = None,
    context: ContextOption = None,
    against: Annotated[
        str, typer.Option(help="Compare with another revision of the same Git repository.")
    ] = "",
    output: PlanOutputOption = PlanOutput.text,
) -> None:
    """Show what would change, in apply order, with every difference, its risks and the digest.

    With --kubeconfig compared with a cluster, with --against with another revision; without
    either, every object is listed as it would be applied.

    Exit code 0: it could be applied. 1: findings that block. 2: wrong use.

    Example: pilothouse plan . --environment staging --against origin/main --output markdown
    """
    if kubeconfig and against:
        fail("compare with a cluster or with a revision, not with both", WRONG_USE)
    with clear_errors():
        target = read_target(path, environment)
        compared = None
        if against:
            compared = _between(target, against)
        elif kubeconfig:
            compared = asyncio.run(compare_with_cluster(target, kubeconfig, context)).plan
    match output:
        case PlanOutput.json:
            print_json(_as_json(target, compared))
        case PlanOutput.markdown:
            say(_as_markdown(target, compared, against))
        case PlanOutput.text:
            _say_plan(target, compared)
    refused = compared is not None and _blocks(compared.findings)
    if target.report.verdict == "block" or refused:
        raise typer.Exit(ANSWER_IS_NO)


def _between(target: Target, against: str) -> Plan:
    from pilothouse.clients.folder import read_files
    from pilothouse.gitops.plan import between

    folder = read_files(files_at(target, against), validated=False)
    named = target.bundle.environment
    known = any(bundle.environment == named for bundle in folder.bundles)
    before = chosen(folder, named) if known else None
    notes = [_not_whole(against)] if folder.report.verdict == "block" else []
    return between(before, target.bundle, target.revision, target.ignore, notes)


def _not_whole(against: str) -> Finding:
    return Finding(
        rule="against",
        severity="warning",
        file="",
        message=f"{against} has errors that keep objects from being loaded: they look new here",
    )


def _blocks(findings: tuple[Finding, ...]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def _actions(compared: Plan | None) -> dict[str, str]:
    return {str(change.object): change.action for change in compared.changes} if compared else {}


def _as_json(target: Target, compared: Plan | None) -> dict[str, object]:
    bundle, actions = target.bundle, _actions(compared)
    otherwise = "apply" if compared is None else "unchanged"
    shape: dict[str, object] = {
        "environment": bundle.environment,
        "namespace": bundle.namespace,
        "revision": target.revision,
        "digest": bundle.digest(),
        "objects": [
            {
                "object": str(manifest.ref),
                "api_version": manifest.ref.api_version,
                "file": manifest.file,
                "line": manifest.line,
                "action": actions.get(str(manifest.ref), otherwise),
            }
            for manifest in bundle.manifests
        ],
    }
    if compared is not None:
        fields = {"counts", "risks", "changes"}
        shape |= compared.model_dump(mode="json", include=fields)
    findings = (*target.report.findings, *(compared.findings if compared else ()))
    shape["findings"] = [finding.model_dump(mode="json") for finding in findings]
    return shape


def _as_markdown(target: Target, compared: Plan | None, against: str) -> str:
    from pilothouse.gitops.plan.report import listing, review

    if compared is None:
        return listing(target.bundle)
    text = review(compared, _COMMENT_BYTES)
    if against:
        resolved = short(target.repository.resolve(against)) if target.repository else against
        return f"{text}\n\nCompared with revision `{resolved}`."
    return text


def _say_plan(target: Target, compared: Plan | None) -> None:
    from pilothouse.gitops.plan.report import findings_lines, object_lines, plan_lines

    report = target.report
    for line in findings_lines(f for f in report.findings if f.severity == "error"):
        say(line, "red")
    for styled in plan_lines(compared) if compared else object_lines(target.bundle):
        say(styled.text, styled.style)
    for line in findings_lines(compared.findings if compared else ()):
        say(line)
    others = len(report.findings) + report.omitted
    if others:
        errors = sum(finding.severity == "error" for finding in report.findings)
        say(f"{errors} errors, {others - errors} other findings: see `pilothouse validate`")

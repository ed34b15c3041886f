"""validate and plan: any folder of manifests, without Temporal and without a network."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from pilothouse.cli.console import (
    ANSWER_IS_NO,
    WRONG_USE,
    Output,
    clear_errors,
    fail,
    print_json,
    say,
)
from pilothouse.models.findings import Finding, ValidationReport
from pilothouse.models.names import OWNER_LABEL, short
from pilothouse.models.objects import Bundle, Plan

Where = Annotated[Path, typer.Argument(help="A repository, a folder of manifests, or one file.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text or json.")]
Version = Annotated[
    str, typer.Option("--kubernetes-version", help="Whose schemas to check with, e.g. 1.36.")
]


def validate(
    path: Where, kubernetes_version: Version = "1.36", output: OutputOption = Output.text
) -> None:
    """Check every object: YAML, schemas, references between objects; all findings at once.

    Exit code 0: nothing blocks. 1: findings that block. 2: wrong use.

    Example: pilothouse validate manifests/ --output json
    """
    from pilothouse.clients.folder import validate_folder

    with clear_errors():
        report = validate_folder(path, kubernetes_version=kubernetes_version)
    if output is Output.json:
        findings = [finding.model_dump(mode="json") for finding in report.findings]
        print_json({"findings": findings, "objects": report.objects})
    else:
        _say_report(report)
    if report.verdict == "block":
        raise typer.Exit(ANSWER_IS_NO)


def plan(
    path: Where,
    environment: Annotated[
        str, typer.Option("--environment", "-e", help="One of the pipeline file's.")
    ] = "",
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Compare with this cluster; writes nothing to it.")
    ] = None,
    context: Annotated[str | None, typer.Option(help="The kubeconfig's context.")] = None,
    output: OutputOption = Output.text,
) -> None:
    """Show what would be applied, in order, and its digest; with --kubeconfig also what changes.

    Exit code 0: it could be applied. 1: findings that block. 2: wrong use.

    Example: pilothouse plan . --environment staging
    """
    from pilothouse.clients.folder import read_folder

    with clear_errors():
        folder = read_folder(path)
        bundle = _chosen(folder.bundles, environment)
        live = asyncio.run(_compare(bundle, kubeconfig, context)) if kubeconfig else None
    report = folder.report
    if output is Output.json:
        print_json(_as_json(bundle, live, report))
    else:
        _say_report(report)
        _say_plan(bundle, live)
    if report.verdict == "block" or (live and any(f.severity == "error" for f in live.findings)):
        raise typer.Exit(ANSWER_IS_NO)


def _chosen(bundles: tuple[Bundle, ...], environment: str) -> Bundle:
    names = [bundle.environment for bundle in bundles]
    if environment:
        if environment not in names:
            known = ", ".join(filter(None, names)) or "no pipeline file declares one"
            fail(f"there is no environment {environment!r} here ({known})", WRONG_USE)
        return bundles[names.index(environment)]
    if len(bundles) > 1:
        fail(f"choose one with --environment: {', '.join(names)}", WRONG_USE)
    if not bundles:
        fail("nothing could be loaded: see `pilothouse validate`", ANSWER_IS_NO)
    return bundles[0]


async def _compare(bundle: Bundle, kubeconfig: Path | None, context: str | None) -> Plan:
    from pilothouse.clients.cluster import ClusterClient

    async with await ClusterClient.connect(kubeconfig, context) as cluster:
        live = await cluster.plan(
            bundle, revision="0" * 40, inventory="pilothouse-plan", prune=False
        )
    # A folder does not say which repository it is, so the owner label cannot be right.
    label = f"/metadata/labels/{OWNER_LABEL.replace('/', '~1')}"
    changes = tuple(change for change in live.changes if change.fields != (label,))
    return live.model_copy(update={"changes": changes})


def _as_json(bundle: Bundle, live: Plan | None, report: ValidationReport) -> dict[str, object]:
    actions = _actions(live)
    return {
        "environment": bundle.environment,
        "namespace": bundle.namespace,
        "digest": bundle.digest(),
        "objects": [
            {
                "object": str(manifest.ref),
                "api_version": manifest.ref.api_version,
                "file": manifest.file,
                "line": manifest.line,
                "action": actions.get(str(manifest.ref), "apply" if live is None else "unchanged"),
            }
            for manifest in bundle.manifests
        ],
        "findings": [f.model_dump(mode="json") for f in (*report.findings, *_refused(live))],
    }


def _actions(live: Plan | None) -> dict[str, str]:
    return {str(change.object): change.action for change in live.changes} if live else {}


def _refused(live: Plan | None) -> tuple[Finding, ...]:
    return live.findings if live else ()


def _say_plan(bundle: Bundle, live: Plan | None) -> None:
    place = f"{bundle.environment} ({bundle.namespace})" if bundle.environment else "one set"
    say(f"plan {short(bundle.digest())} for {place}: {len(bundle.manifests)} objects, in order")
    actions = _actions(live)
    for manifest in bundle.manifests:
        action = actions.get(str(manifest.ref), "apply" if live is None else "unchanged")
        say(f"  {action:<9} {manifest.ref}  {manifest.file}:{manifest.line}")
    for finding in _refused(live):
        _say_finding(finding)


def _say_report(report: ValidationReport) -> None:
    for finding in report.findings:
        _say_finding(finding)
    counts = {severity: 0 for severity in ("error", "warning", "info")}
    for finding in report.findings:
        counts[finding.severity] += 1
    say(
        f"{report.objects} objects: {counts['error']} errors, {counts['warning']} warnings, "
        f"{counts['info']} notes"
    )


def _say_finding(finding: Finding) -> None:
    place = f"{finding.file}:{finding.line}" if finding.line else finding.file
    about = f" {finding.object}" if finding.object else ""
    say(f"{place}: {finding.severity} [{finding.rule}]{about}: {finding.message}")
    if finding.fix:
        say(f"    {finding.fix}")

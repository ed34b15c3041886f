"""What an agent is shown at the start: everything that a stage knows, as pieces of text.

A piece's text is made when it is chosen: of a bundle with thousands of objects only a few are.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import yaml

from pilothouse.gitops.plan.masking import shown_whole
from pilothouse.gitops.reports.findings import validation_text
from pilothouse.models.health import DriftReport, HealthReport
from pilothouse.models.material import MaterialRequest
from pilothouse.models.objects import Bundle, Manifest, Plan, canonical_json
from pilothouse.models.pipeline import Pipeline
from pilothouse.models.runs import CommandResult
from pilothouse.models.tools import MaterialKind

_MANIFESTS = (".yaml", ".yml", ".json")
_DOCUMENTS = ("docs/", "runbooks/")


class Piece(NamedTuple):
    """One text to show."""

    kind: MaterialKind
    title: str
    """Holds names from outside: not safe to show yet."""
    text: Callable[[], str]
    """Makes it. Secrets' values are masked; what else may be one is not."""


class Stored(NamedTuple):
    """What of a request is in the content store, read."""

    bundles: Sequence[Bundle] = ()
    files: Mapping[str, bytes] = {}
    """Path -> content, of the snapshot that was judged."""
    documents: Mapping[str, bytes] = {}
    """Path -> content, of the revision that governs."""
    changed: frozenset[str] = frozenset()
    """The paths that differ between the two."""


def pieces(request: MaterialRequest, stored: Stored) -> Iterator[Piece]:
    """Every piece there is, what matters most first."""
    if request.plan is not None:
        plan = request.plan
        yield Piece("plan", f"plan for {plan.environment}", lambda: _plan(plan))
    if request.validation is not None:
        found = validation_text(request.validation, {}, everything=True)
        yield Piece("finding", "what the rules found", lambda: found)
    if request.stages:
        yield Piece("event", "how the stages before ended", lambda: "\n".join(request.stages))
    if request.tests is not None:
        yield from map(_command, request.tests.commands)
    if request.health is not None:
        health = request.health
        yield Piece("event", "health of what is deployed", lambda: _health(health))
    if request.drift is not None:
        drift = request.drift
        yield Piece("event", "drift of what is deployed", lambda: _drift(drift))
    yield from _files(request, stored)


def _files(request: MaterialRequest, stored: Stored) -> Iterator[Piece]:
    pipeline = request.pipeline
    if pipeline is None:
        return
    yield Piece("config", "what the pipeline file says", lambda: _declared(pipeline))
    named = request.validation.findings if request.validation is not None else ()
    first = {finding.file for finding in named if finding.severity != "info"}
    if stored.bundles:
        yield from _rendered(stored, first)
    else:
        yield from _unrendered(pipeline, stored, first)
    for path in sorted(filter(_is_document, stored.documents)):
        yield _file("knowledge", path, stored.documents)


def _rendered(stored: Stored, first: set[str]) -> Iterator[Piece]:
    """Each object once, though several environments have it; what changed or was found first."""
    seen: set[bytes] = set()
    distinct: list[Manifest] = []
    for bundle in stored.bundles:
        for manifest in bundle.manifests:
            anywhere = canonical_json(_without_namespace(manifest))
            if anywhere not in seen:
                seen.add(anywhere)
                distinct.append(manifest)
    distinct.sort(key=lambda each: (each.file not in first, each.file not in stored.changed))
    for manifest in distinct:
        mark = ", changed" if manifest.file in stored.changed else ""
        title = f"{manifest.ref} ({manifest.file}:{manifest.line}{mark})"
        yield Piece("manifest", title, partial(_manifest, manifest))


def _unrendered(pipeline: Pipeline, stored: Stored, first: set[str]) -> Iterator[Piece]:
    """The files as they stand in Git, where what they render to is not known."""
    below = "" if pipeline.manifests == "." else f"{pipeline.manifests}/"
    paths = [
        path
        for path in stored.files
        if path == pipeline.manifests or (path.startswith(below) and path.endswith(_MANIFESTS))
    ]
    paths.sort(key=lambda path: (path not in first, path not in stored.changed, path))
    for path in paths:
        yield _file("manifest", path, stored.files)


def configs(pipeline: Pipeline, stored: Stored) -> Iterator[Piece]:
    """The values for placeholders."""
    own = {environment.configs for environment in pipeline.environments.values()}
    for path in sorted(stored.files):
        if path in own or path == pipeline.configs or path.startswith(f"{pipeline.configs}/"):
            yield _file("config", path, stored.files)


def _is_document(path: str) -> bool:
    return path.startswith(_DOCUMENTS) and path.endswith(".md")


def _file(kind: MaterialKind, path: str, files: Mapping[str, bytes]) -> Piece:
    return Piece(kind, path, lambda: files[path].decode("utf-8", "replace"))


def _without_namespace(manifest: Manifest) -> dict[str, object]:
    metadata = manifest.body.get("metadata")
    if not isinstance(metadata, dict):
        return {**manifest.body}
    return {**manifest.body, "metadata": {**metadata, "namespace": ""}}


def _manifest(manifest: Manifest) -> str:
    body = shown_whole(dict(manifest.body), secret=manifest.ref.kind == "Secret")
    return _yaml(body)


def _declared(pipeline: Pipeline) -> str:
    """Environments and health checks; agents, prompts and servers are no agent's affair."""
    about = {"environments", "health_checks", "manifests", "configs", "policies"}
    return _yaml(pipeline.model_dump(mode="json", include=about, exclude_defaults=True))


def _yaml(value: object) -> str:
    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1_000))


def _command(result: CommandResult) -> Piece:
    how = "its time was up" if result.timed_out else f"exit code {result.exit_code}"
    text = f"$ {result.command}\n{how} after {result.seconds:.1f} s\n\n{result.output}"
    return Piece("test", f"{result.command}: {how}", lambda: text)


def _plan(plan: Plan) -> str:
    counts = ", ".join(f"{count} {action}" for action, count in plan.counts.items() if count)
    lines = [plan.review or f"Plan: {counts or 'nothing to do'}"]
    lines += [f"risk: {kind} of {count} objects" for kind, count in plan.risks.items()]
    lines += [f"{f.severity}: {f.object}: {f.message}" for f in plan.findings]
    return "\n".join(lines)


def _health(health: HealthReport) -> str:
    lines = [f"{health.objects} objects: {health.status}"]
    lines += [f"{each.object}: {each.status}, {each.message}" for each in health.waiting_for]
    for diagnosis in health.diagnoses:
        lines.append(f"{diagnosis.object}: {diagnosis.cause}: {diagnosis.summary}")
        lines += [f"  {each.kind} of {each.source}: {each.text}" for each in diagnosis.evidence]
    return "\n".join(lines)


def _drift(drift: DriftReport) -> str:
    lines = [
        f"{each} differs from Git: {', '.join(drift.fields.get(str(each), ()))}"
        for each in drift.drifted
    ]
    lines += [f"{each} is gone" for each in drift.missing]
    lines += [f"{each} could not be compared" for each in drift.unreadable]
    return "\n".join(lines) or "the cluster is as Git says"

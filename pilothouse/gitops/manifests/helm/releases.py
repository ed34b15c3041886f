"""One chart rendered for one environment, and what its objects are."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from pilothouse.gitops.manifests.builder import Limits
from pilothouse.gitops.manifests.helm.chart import Chart, read_chart
from pilothouse.gitops.manifests.helm.hooks import without_hooks
from pilothouse.gitops.manifests.helm.templates import trace
from pilothouse.gitops.manifests.loader import Loaded, LoadedManifest, load
from pilothouse.gitops.manifests.places import escape
from pilothouse.gitops.manifests.values import Values
from pilothouse.models.errors import PermanentError
from pilothouse.models.findings import Finding

_OUTPUT_LIMITS = Limits(size_bytes=16 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Release:
    """What Helm is asked for."""

    name: str
    namespace: str
    files: Mapping[str, bytes]
    """The chart, by path from its folder."""
    values: Mapping[str, JsonValue]
    """Over the chart's own `values.yaml`."""
    apart: bool
    """A template reads the clock: the two renderings must not fall into one second."""


class HelmMissingError(Exception):
    """There is no `helm` program here."""


Helm = Callable[[Release], tuple[bytes, bytes]]
"""Renders a release twice to a YAML stream; `PermanentError` if it cannot, `HelmMissingError`."""


def render_chart(
    files: Mapping[str, bytes], folder: str, namespace: str, values: Values, helm: Helm | None
) -> Loaded:
    """The objects of the chart in a folder, hooks left out, each with its template's place.

    The release has the chart's name. Double braces in templates are Helm's own, and those that it
    writes are text: our placeholders have no meaning here.

    Args:
        files: the snapshot.
        folder: a folder with a `Chart.yaml`.
        namespace: of the release.
        values: the environment's; their files, merged, are handed to Helm.
        helm: None if there is no such program.

    Returns:
        The objects and all findings; of a library chart neither.
    """
    chart = read_chart(files, folder)
    if chart.library:
        return Loaded((), ())
    findings = (*chart.findings, *_disputed(values))
    if findings:
        return Loaded((), findings)
    try:
        return _render(files, folder, chart, namespace, values, helm)
    except HelmMissingError as error:
        return Loaded((), (_no_helm(chart, error),))
    except PermanentError as error:
        return Loaded((), (_refused(chart, error),))


def _render(
    files: Mapping[str, bytes],
    folder: str,
    chart: Chart,
    namespace: str,
    values: Values,
    helm: Helm | None,
) -> Loaded:
    if helm is None:
        raise HelmMissingError("no program is given")
    release = Release(chart.name, namespace, chart.files, values.tree, chart.reads_clock)
    first, second = helm(release)
    loaded = trace(load(first, chart.file, limits=_OUTPUT_LIMITS), first, files, folder)
    kept = without_hooks(loaded)
    if first == second:
        return kept
    # Hooks are not applied: the random names that tests often have change nothing.
    again = without_hooks(load(second, chart.file, limits=_OUTPUT_LIMITS))
    unsteady = _unsteady(chart, kept.manifests, again.manifests)
    return Loaded(kept.manifests, (*kept.findings, *unsteady))


def _disputed(values: Values) -> list[Finding]:
    """Helm would take the value that it reads last, without a word."""
    return [
        Finding(
            rule="value-ambiguous",
            severity="error",
            file=other.file,
            line=other.line,
            message=f"{name} has two values: {one.file}:{one.line} and {other.file}:{other.line}",
            fix="Keep one, or set it in the environment's own values file.",
        )
        for name, (one, other) in values.disputed.items()
        if not (isinstance(one.value, dict) and isinstance(other.value, dict))
    ]


def _unsteady(
    chart: Chart, first: tuple[LoadedManifest, ...], second: tuple[LoadedManifest, ...]
) -> Iterator[Finding]:
    """One finding at the first object that two renderings of the same commit have not alike."""
    fix = "Give the value that the template makes up (a password, a key, a date) in configs/."
    message = "two renderings of the same commit differ"
    for one, other in zip(first, second, strict=False):
        if one.body != other.body:
            path = _difference(one.body, other.body)
            found = one.finding(
                "helm-not-deterministic", "error", f"{message} at {path or 'the root'}", fix=fix
            )
            yield found.model_copy(update={"path": path})
            return
    if len(first) != len(second):
        yield Finding(
            rule="helm-not-deterministic",
            severity="error",
            file=chart.file,
            line=1,
            message=f"{message} in the number of their objects",
            fix=fix,
        )


def _difference(one: JsonValue, other: JsonValue) -> str:
    """The JSON pointer of the first difference; what differs may be secret and is not said."""
    path = ""
    while True:
        if isinstance(one, dict) and isinstance(other, dict) and set(one) == set(other):
            key = next(key for key in one if one[key] != other[key])
            path, one, other = f"{path}/{escape(key)}", one[key], other[key]
        elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
            index = next(i for i, item in enumerate(one) if item != other[i])
            path, one, other = f"{path}/{index}", one[index], other[index]
        else:
            return path


def _no_helm(chart: Chart, error: HelmMissingError) -> Finding:
    return Finding(
        rule="helm-missing",
        severity="error",
        file=chart.file,
        line=1,
        message=f"the manifests are a Helm chart, but {error}",
        fix="Install Helm 3 or 4 beside the worker and the command, or set PILOTHOUSE_HELM.",
    )


def _refused(chart: Chart, error: PermanentError) -> Finding:
    return Finding(
        rule="helm",
        severity="error",
        file=chart.file,
        line=1,
        message=f"Helm cannot render the chart: {error}",
        fix="Correct the template or the value that the message names.",
    )

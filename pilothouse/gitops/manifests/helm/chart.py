"""What a Helm chart holds, decided before Helm runs.

Helm would follow a `$ref` of a values schema to any file or address, and fail late and without a
place where something is missing. So a chart is looked through here first, with all that it brings
along; with a finding, nothing is run.
"""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from pilothouse.gitops.manifests.documents import decode, read_documents
from pilothouse.gitops.manifests.folders import CHART, NOT_MANIFESTS, below, is_hidden
from pilothouse.gitops.manifests.helm.archives import unpack
from pilothouse.gitops.manifests.places import Document, Place
from pilothouse.models.findings import Finding

_RELEASE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_CLOCK = re.compile(rb"\{\{[^}]*(?<![.\w])(now|ago|htmlDate|date|dateInZone)\b[^}]*\}\}")


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as Helm gets it, and why it must not."""

    name: str
    file: str
    """Its `Chart.yaml`, from the repository's root."""
    files: Mapping[str, bytes]
    """By path from the chart's folder, archives unpacked."""
    library: bool
    """A library has no objects of its own: only other charts use it."""
    findings: tuple[Finding, ...]

    @property
    def reads_clock(self) -> bool:
        """Whether a template mentions a function of the time."""
        return any(_CLOCK.search(data) for path, data in self.files.items() if "templates/" in path)


def is_chart(files: Mapping[str, bytes], folder: str) -> bool:
    """Whether a folder is a chart's."""
    return posixpath.join(folder, CHART) in files


def read_chart(files: Mapping[str, bytes], folder: str) -> Chart:
    """Read and inspect the chart in a folder of the snapshot.

    Args:
        files: the snapshot, by path from the repository's root.
        folder: a folder with a `Chart.yaml`; empty for the root.
    """
    unpacked = unpack(_own_files(files, folder))
    file = posixpath.join(folder, CHART)
    document, findings = _document(files, file)
    body = document.value if isinstance(document.value, dict) else {}
    name = body.get("name")
    if not isinstance(name, str) or not _RELEASE_NAME.fullmatch(name):
        findings.append(_nameless(file, document.place))
    findings += [
        _finding("helm-archive", posixpath.join(folder, path), 0, message, "Pack it again.")
        for path, message in unpacked.broken.items()
    ]
    findings += _missing_dependencies(files, folder, unpacked.files, file, document)
    findings += _foreign_references(unpacked.files, folder)
    return Chart(
        name=name if isinstance(name, str) else "",
        file=file,
        files=unpacked.files,
        library=body.get("type") == "library",
        findings=tuple(findings),
    )


def _own_files(files: Mapping[str, bytes], folder: str) -> dict[str, bytes]:
    """By path from the chart's folder; a chart at the root has the repository around it."""
    start = len(folder) + 1 if folder else 0
    own = (path[start:] for path in files if below(path, folder))
    return {
        path: files[posixpath.join(folder, path)]
        for path in own
        if (not is_hidden(path) or path == ".helmignore")
        and (folder or path.partition("/")[0] not in NOT_MANIFESTS)
    }


def _document(files: Mapping[str, bytes], file: str) -> tuple[Document, list[Finding]]:
    """The first document of a file of the snapshot, empty if there is none."""
    text = decode(files[file], file)
    if isinstance(text, Finding):
        return Document({}, Place(1)), [text]
    read = read_documents(text, file)
    first = read.documents[0] if read.documents else Document({}, Place(1))
    return first, list(read.findings)


def _missing_dependencies(
    files: Mapping[str, bytes],
    folder: str,
    unpacked: Mapping[str, bytes],
    chart_file: str,
    chart: Document,
) -> Iterator[Finding]:
    vendored = set(_vendored(unpacked))
    requirements = posixpath.join(folder, "requirements.yaml")
    declared = [(chart_file, chart)]
    if requirements in files:
        declared.append((requirements, _document(files, requirements)[0]))
    for file, document in declared:
        body = document.value if isinstance(document.value, dict) else {}
        listed = body.get("dependencies")
        for index, entry in enumerate(listed if isinstance(listed, list) else ()):
            name = entry.get("name") if isinstance(entry, dict) else None
            if isinstance(name, str) and name not in vendored:
                yield _finding(
                    "helm-dependency-missing",
                    file,
                    document.place.find(f"/dependencies/{index}").line,
                    f"the chart depends on {name}, which is not below its charts/; nothing is "
                    "fetched while manifests are rendered",
                    "Run `helm dependency update`, and commit charts/.",
                    path=f"/dependencies/{index}",
                )


def _vendored(files: Mapping[str, bytes]) -> Iterator[str]:
    """The names of the charts directly below `charts/`."""
    for path, data in files.items():
        if re.fullmatch(rf"charts/[^/]+/{CHART}", path):
            document, _ = _document({path: data}, path)
            name = document.value.get("name") if isinstance(document.value, dict) else None
            if isinstance(name, str):
                yield name


def _foreign_references(files: Mapping[str, bytes], folder: str) -> Iterator[Finding]:
    """Schemas of values that refer to something outside of themselves."""
    for path, data in files.items():
        if posixpath.basename(path) != "values.schema.json":
            continue
        for reference in _references(data):
            line = next(
                (n for n, row in enumerate(data.splitlines(), 1) if reference.encode() in row), 1
            )
            yield _finding(
                "helm-remote",
                posixpath.join(folder, path),
                line,
                f'the schema refers to "{reference[:200]}", which Helm would fetch',
                "Copy what it refers to into the schema.",
            )


def _references(data: bytes) -> Iterator[str]:
    """Every reference that does not stay inside the document; unreadable JSON is Helm's to tell."""
    try:
        pending: list[JsonValue] = [json.loads(data)]
    except (ValueError, RecursionError):
        return
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            pending += value.values()
            for key in _REFERENCES:
                reference = value.get(key)
                if isinstance(reference, str) and not reference.startswith("#"):
                    yield reference


def _nameless(file: str, place: Place) -> Finding:
    return _finding(
        "helm",
        file,
        place.find("/name").line,
        "the chart's name must be at most 53 lower-case letters, digits and '-': it is also the "
        "name of the release",
        "Correct `name`.",
        path="/name",
    )


def _finding(rule: str, file: str, line: int, message: str, fix: str, path: str = "") -> Finding:
    return Finding(
        rule=rule, severity="error", file=file, line=line, path=path, message=message, fix=fix
    )

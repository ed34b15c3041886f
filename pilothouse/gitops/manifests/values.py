"""The values of one environment, from `configs/`: for placeholders, and for Helm charts."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from pilothouse.gitops.manifests.documents import decode, read_documents
from pilothouse.gitops.manifests.loader import is_manifest_file
from pilothouse.gitops.manifests.places import Document, escape
from pilothouse.models.findings import Finding
from pilothouse.models.pipeline import Environment, Pipeline


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a configuration file."""

    value: JsonValue
    text: str | None
    """A scalar as it was written: `1.10` stays `1.10` inside a longer text. None for the rest."""
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class Values:
    """The values of one environment."""

    known: Mapping[str, Value] = field(default_factory=dict)
    disputed: Mapping[str, tuple[Value, Value]] = field(default_factory=dict)
    """Names to which two files of the same rank give different values."""
    tree: Mapping[str, JsonValue] = field(default_factory=dict)
    """All files in one, mappings merged, the environment's own last: what a Helm chart gets."""
    findings: tuple[Finding, ...] = ()


def read_values(files: Mapping[str, bytes], shared: Iterable[str], own: Iterable[str]) -> Values:
    """The values of configuration files, nested keys joined by dots.

    Args:
        files: the revision's files.
        shared: the files that every environment reads.
        own: the environment's files; their values win.
    """
    findings: list[Finding] = []
    known: dict[str, Value] = {}
    disputed: dict[str, tuple[Value, Value]] = {}
    tree: dict[str, JsonValue] = {}
    for rank in (sorted(shared), sorted(own)):
        found: dict[str, Value] = {}
        clashes: dict[str, tuple[Value, Value]] = {}
        for file in rank:
            for document in _documents(file, files[file], findings):
                if isinstance(document.value, dict):
                    tree = _merged(tree, document.value)
                for name, value in _named(file, document):
                    earlier = found.setdefault(name, value)
                    if earlier.value != value.value:
                        clashes[name] = (earlier, value)
        known |= found
        disputed = {name: pair for name, pair in disputed.items() if name not in found} | clashes
    return Values(known, disputed, tree, tuple(findings))


def _documents(file: str, data: bytes, findings: list[Finding]) -> tuple[Document, ...]:
    text = decode(data, file)
    if isinstance(text, Finding):
        findings.append(text)
        return ()
    read = read_documents(text, file)
    findings += read.findings
    return read.documents


def _named(file: str, document: Document) -> Iterator[tuple[str, Value]]:
    pending: list[tuple[str, str, JsonValue]] = [("", "", document.value)]
    while pending:
        name, pointer, value = pending.pop()
        place = document.place.find(pointer)
        if name:
            yield name, Value(value, _as_written(value, place.text), file, place.line)
        if isinstance(value, dict):
            pending += [
                (f"{name}.{key}" if name else key, f"{pointer}/{escape(key)}", item)
                for key, item in value.items()
            ]


def _merged(under: Mapping[str, JsonValue], over: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """As Helm merges values files; the depth is bounded by the loader's."""
    result = dict(under)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, dict) and isinstance(value, dict):
            value = _merged(below, value)
        result[key] = value
    return result


def _as_written(value: JsonValue, spelling: str) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return spelling
        case _:
            return None


def environment_values(files: Mapping[str, bytes], pipeline: Pipeline, environment: str) -> Values:
    """The values for `{{name}}`: all of `configs/`, then the environment's own file over it.

    The own file is the one that the pipeline file names, else `configs/<environment>.yaml`. The
    files of other environments are not read.
    """
    own_files = {
        name: _own_values(files, pipeline, name, declared)
        for name, declared in pipeline.environments.items()
    }
    own = own_files[environment]
    taken = {path for path in own_files.values() if path is not None}
    shared = [
        path
        for path in files
        if path.startswith(f"{pipeline.configs}/") and is_manifest_file(path) and path not in taken
    ]
    missing = own is not None and own not in files
    values = read_values(files, shared, [own] if own is not None and not missing else [])
    if not missing:
        return values
    finding = Finding(
        rule="values-file-missing",
        severity="error",
        file="pipeline.yaml",
        path=f"/pipeline/environments/{environment}/configs",
        message=f"the values file {own} of environment {environment} does not exist",
        fix="Add the file, or correct its path.",
    )
    return replace(values, findings=(*values.findings, finding))


def _own_values(
    files: Mapping[str, bytes], pipeline: Pipeline, name: str, declared: Environment
) -> str | None:
    if declared.configs is not None:
        return declared.configs
    default = f"{pipeline.configs}/{name}.yaml"
    return default if default in files else None

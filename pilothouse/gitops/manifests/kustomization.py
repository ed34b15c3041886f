"""What a Kustomize build would read, decided before Kustomize runs.

Kustomize takes any entry that is no local path for a Git URL and fetches it, and runs plugins that
a repository names. So every entry is resolved here first: what is not a file or folder of the
snapshot, or would run a program, is a finding, and nothing is run at all.
"""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from pilothouse.gitops.manifests.documents import Documents, decode, read_documents
from pilothouse.gitops.manifests.kustomization_fields import named_paths, unknown_fields
from pilothouse.gitops.manifests.placeholders import has_token, shield
from pilothouse.gitops.manifests.places import Document
from pilothouse.models.findings import Finding

KUSTOMIZATION_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")

_RESOURCES = ("resources", "bases", "components", "crds")
_PLUGINS = ("generators", "transformers", "validators")
_REMOTE_MARKS = ("://", "git@", "git::", "github.com/", "?ref=")
_MOST_FOLDERS = 200
_HARMLESS_PLUGINS = frozenset({
    "AnnotationsTransformer",
    "HashTransformer",
    "ImageTagTransformer",
    "LabelTransformer",
    "LegacyOrderTransformer",
    "NamespaceTransformer",
    "PrefixSuffixTransformer",
    "PrefixTransformer",
    "ReplicaCountTransformer",
    "SortOrderTransformer",
    "SuffixTransformer",
    "ValueAddTransformer",
})


@dataclass(frozen=True, slots=True)
class Inspection:
    """What one build needs, and why it must not run."""

    resources: tuple[str, ...]
    """Files with whole objects, in the order in which they are read."""
    used: frozenset[str]
    """Every file that the build may read; nothing else is handed to Kustomize."""
    folders: tuple[str, ...]
    """Every folder with a kustomization that is part of the build, the built one first."""
    findings: tuple[Finding, ...]
    reaches_out: bool
    """Whether a kustomization reads a single file from outside its own folder."""


def kustomization_in(files: Mapping[str, bytes], folder: str) -> str | None:
    """The path of the kustomization file that stands in a folder, if there is one."""
    for name in KUSTOMIZATION_NAMES:
        path = posixpath.join(folder, name)
        if path in files:
            return path
    return None


def inspect(files: Mapping[str, bytes], folder: str) -> Inspection:
    """Follow every entry of the kustomization in `folder`, and of those that it names.

    Args:
        files: the snapshot, by path from the repository's root.
        folder: the folder to build, without a slash at its end; empty for the root.
    """
    walk = _Walk(files)
    walk.pending.append(folder)
    while walk.pending:
        walk.folder(walk.pending.pop(0))
    return Inspection(
        tuple(walk.resources),
        frozenset(walk.used),
        tuple(walk.seen),
        tuple(walk.findings),
        walk.reaches_out,
    )


@dataclass(slots=True)
class _Walk:
    files: Mapping[str, bytes]
    pending: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)
    folders: frozenset[str] = frozenset()
    file: str = ""
    document: Document | None = None
    reaches_out: bool = False

    def __post_init__(self) -> None:
        self.folders = frozenset(folders_of(self.files))

    def folder(self, folder: str) -> None:
        if folder in self.seen or len(self.seen) >= _MOST_FOLDERS:
            return
        path = kustomization_in(self.files, folder)
        if path is None:
            return
        self.seen.append(folder)
        self.file = path
        self.used.add(path)
        read = _read(self.files, path)
        self.findings += read.findings
        for document in read.documents:
            if isinstance(document.value, dict):
                self.document = document
                self._entries(folder, document.value)

    def _entries(self, folder: str, body: dict[str, JsonValue]) -> None:
        for path, key in unknown_fields(body):
            self._report(
                "kustomize-field",
                path,
                f'"{key}" is no field that is built here',
                "Commit the chart, and let `manifests` name its folder."
                if key.startswith("helm")
                else "Correct its spelling, also its capitals.",
            )
        for key, path, entry in named_paths(body):
            if not isinstance(entry, str):
                continue
            if key in _PLUGINS and "\n" in entry:
                self._plugin(key, path, read_documents(entry, self.file))
            elif not (key == "patchesStrategicMerge" and "\n" in entry):
                self._entry(folder, key, path, entry)

    def _entry(self, folder: str, key: str, path: str, entry: str) -> None:
        target = posixpath.normpath(posixpath.join(folder, entry))
        target = "" if target == "." else target
        if entry.startswith("/") or target.split("/")[0] == "..":
            self._report(
                "kustomize-outside",
                path,
                f'{key}: "{entry}" leaves the repository',
                "Name a path inside the repository.",
            )
        elif target in self.files:
            self.reaches_out |= bool(folder) and not target.startswith(f"{folder}/")
            self._file(key, path, target)
        elif target in self.folders and key in {*_RESOURCES, *_PLUGINS}:
            if kustomization_in(self.files, target) is None:
                message = f'{key}: the folder "{entry}" has no kustomization file'
                self._report("kustomize-missing", path, message, "Add one, or name its files.")
            self.pending.append(target)
        elif any(mark in entry for mark in _REMOTE_MARKS):
            self._report(
                "kustomize-remote",
                path,
                f'{key}: "{entry}" is not in this repository; what it holds can change without a '
                "commit",
                "Copy it into the repository.",
            )
        else:
            message = f'{key}: "{entry}" does not exist'
            self._report("kustomize-missing", path, message, "Correct the path, or add the file.")

    def _file(self, key: str, path: str, target: str) -> None:
        self.used.add(target)
        if key in {"resources", "bases"}:
            self.resources.append(target)
        if key in _PLUGINS:
            self._plugin(key, path, _read(self.files, target))

    def _plugin(self, key: str, path: str, read: Documents) -> None:
        if read.findings or not all(_is_harmless(document.value) for document in read.documents):
            self._report(
                "kustomize-plugin",
                path,
                f"{key}: this one runs a program or reads files of its own while the manifests "
                "are built",
                "Use the fields of the kustomization file, or commit the plugin's output.",
            )

    def _report(self, rule: str, path: str, message: str, fix: str) -> None:
        line = self.document.place.find(path).line if self.document else 1
        self.findings.append(
            Finding(
                rule=rule,
                severity="error",
                file=self.file,
                line=line,
                path=path,
                message=message,
                fix=fix,
            )
        )


def folders_of(files: Mapping[str, bytes]) -> set[str]:
    """Every folder that holds a file, the root as an empty text."""
    folders = {""}
    for path in files:
        # The root of an absolute path is its own parent.
        while (path := posixpath.dirname(path)) not in folders:
            folders.add(path)
    return folders


def _read(files: Mapping[str, bytes], path: str) -> Documents:
    text = decode(files[path], path)
    if isinstance(text, Finding):
        return Documents((), (text,))
    # A build inspects once more what `render` has shielded.
    shielded = text if has_token(text) else shield(text, path)
    return (
        Documents((), (shielded,))
        if isinstance(shielded, Finding)
        else read_documents(shielded, path)
    )


def _is_harmless(body: JsonValue) -> bool:
    """Whether a plugin is one of Kustomize's own that can read no file by itself."""
    if not isinstance(body, dict) or body.get("apiVersion") != "builtin":
        return False
    metadata = body.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    return body.get("kind") in _HARMLESS_PLUGINS and not annotations

"""Bytes of a file to Kubernetes objects with their places, and everything that is wrong."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydantic import JsonValue

from pilothouse.gitops.manifests.builder import Limits
from pilothouse.gitops.manifests.documents import STRICT_LIMITS, decode, read_documents
from pilothouse.gitops.manifests.placeholders import shield
from pilothouse.gitops.manifests.places import Document, Place
from pilothouse.gitops.manifests.scalars import described
from pilothouse.models.findings import Finding, Severity
from pilothouse.models.objects import Manifest, ObjectRef

MANIFEST_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class LoadedManifest:
    """One object with the place of each of its parts."""

    manifest: Manifest
    place: Place = field(repr=False, compare=False)
    ref: ObjectRef = field(init=False, repr=False, compare=False)
    """Which object it is: asked for so often that it is worked out once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "ref", self.manifest.ref)

    @property
    def body(self) -> dict[str, JsonValue]:
        """The object itself."""
        return self.manifest.body

    def line_of(self, pointer: str) -> int:
        """The 1-based line of a JSON pointer, or of the nearest part above it that exists."""
        return self.place.find(pointer).line if pointer else self.manifest.line

    def with_body(self, body: dict[str, JsonValue]) -> "LoadedManifest":
        """The same place with another body."""
        manifest = Manifest(file=self.manifest.file, line=self.manifest.line, body=body)
        return LoadedManifest(manifest, self.place)

    def finding(
        self, rule: str, severity: Severity, message: str, *, path: str = "", fix: str = ""
    ) -> Finding:
        """A finding about this object, with file, line and name filled in."""
        return Finding(
            rule=rule,
            severity=severity,
            file=self.manifest.file,
            line=self.line_of(path),
            object=str(self.ref),
            path=path,
            message=message,
            fix=fix,
        )


@dataclass(frozen=True, slots=True)
class Loaded:
    """The objects of one or more files, and the findings about them."""

    manifests: tuple[LoadedManifest, ...]
    findings: tuple[Finding, ...]


def load(
    data: bytes,
    file: str,
    *,
    placeholders: bool = False,
    strays: Severity = "error",
    limits: Limits = STRICT_LIMITS,
) -> Loaded:
    """Every object in one YAML or JSON file; lists are expanded.

    Args:
        data: the file's bytes.
        file: its path, for findings.
        placeholders: whether `{{name}}` is a value to be put in later (see `placeholders`) rather
            than YAML.
        strays: how bad a document is that is no Kubernetes object at all.
        limits: size, nodes and depth beyond which a file is refused.

    Returns:
        What could be read, and all problems at once. Never raises for content.
    """
    text = decode(data, file, limits)
    if placeholders and isinstance(text, str):
        text = shield(text, file)
    if isinstance(text, Finding):
        return Loaded((), (text,))
    read = read_documents(text, file, limits)
    findings = list(read.findings)
    manifests: list[LoadedManifest] = []
    for document in read.documents:
        for item in _expanded(document):
            problem = _problem(item, file, strays)
            if problem is not None:
                findings.append(problem)
            elif isinstance(item.value, dict):
                manifest = Manifest(file=file, line=item.place.line, body=item.value)
                manifests.append(LoadedManifest(manifest, item.place))
    return Loaded(tuple(manifests), tuple(findings))


def joined(parts: Iterable[Loaded]) -> Loaded:
    """Several loads as one."""
    manifests: list[LoadedManifest] = []
    findings: list[Finding] = []
    for part in parts:
        manifests += part.manifests
        findings += part.findings
    return Loaded(tuple(manifests), tuple(findings))


def duplicates(manifests: Iterable[LoadedManifest]) -> list[Finding]:
    """A finding for each object that another document declares too."""
    first: dict[tuple[str, str, str, str], LoadedManifest] = {}
    findings = []
    for manifest in manifests:
        ref = manifest.ref
        known = first.setdefault((ref.group, ref.kind, ref.namespace, ref.name), manifest)
        if known is not manifest:
            findings.append(
                manifest.finding(
                    "duplicate-object",
                    "error",
                    f"{ref} stands here a second time; the first is in "
                    f"{known.manifest.file}:{known.manifest.line}",
                    path="/metadata/name",
                    fix="Keep one of them, or give them different names.",
                )
            )
    return findings


def is_manifest_file(path: str) -> bool:
    """Whether a path of a repository may hold manifests: its ending, and nothing hidden."""
    return path.lower().endswith(MANIFEST_SUFFIXES) and not any(
        part.startswith(".") for part in path.split("/")
    )


def _expanded(document: Document) -> Iterator[Document]:
    """The items of `kind: List` and its like, or the document itself."""
    body = document.value
    if not isinstance(body, dict):
        yield document
        return
    kind, items = body.get("kind"), body.get("items")
    if not (isinstance(kind, str) and kind.endswith("List") and isinstance(items, list)):
        yield document
        return
    for index, item in enumerate(items):
        place = document.place.find(f"/items/{index}")
        if isinstance(item, dict) and kind != "List":
            # A typed list says what its items are, once, as kubectl reads it.
            item = {"apiVersion": body.get("apiVersion"), "kind": kind[: -len("List")]} | item
        yield from _expanded(Document(item, place))


def _problem(document: Document, file: str, strays: Severity) -> Finding | None:
    """Why a document is not an object that can be applied."""
    body = document.value

    def finding(rule: str, severity: Severity, message: str, fix: str, path: str = "") -> Finding:
        return Finding(
            rule=rule,
            severity=severity,
            file=file,
            line=document.place.find(path).line,
            path=path,
            message=message,
            fix=fix,
        )

    if not isinstance(body, dict) or not ("apiVersion" in body or "kind" in body):
        return finding(
            "not-an-object",
            strays,
            "the document is not a Kubernetes object: it has neither apiVersion nor kind",
            "Move the file out of the manifests, or complete it.",
        )
    metadata = body.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    required = {"apiVersion": body.get("apiVersion"), "kind": body.get("kind")}
    for key, value in (required | {"metadata.name": name}).items():
        path = "/" + key.replace(".", "/")
        if value is None or value == "":
            message = f'required field "{key}" is missing'
            return finding("object-incomplete", "error", message, f"Set {key}.", path)
        if not isinstance(value, str):
            message = f"{key}: expected a string, got {described(value)}"
            return finding("object-incomplete", "error", message, "Put it in quotes.", path)
    return None

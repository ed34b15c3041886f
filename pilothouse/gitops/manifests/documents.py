"""YAML or JSON text to documents, strictly and within bounds.

Problems are findings, never exceptions: one broken document does not hide the others.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from pilothouse.gitops.manifests.builder import MOST_FINDINGS, BoundBrokenError, Builder, Limits
from pilothouse.gitops.manifests.places import Document
from pilothouse.gitops.manifests.syntax import syntax_finding
from pilothouse.models.findings import Finding

STRICT_LIMITS = Limits()
_MOST_DOCUMENTS = 4_000


@dataclass(frozen=True, slots=True)
class Documents:
    """What a file holds, and what is wrong with it."""

    documents: tuple[Document, ...]
    findings: tuple[Finding, ...]


def decode(data: bytes, file: str, limits: Limits = STRICT_LIMITS) -> str | Finding:
    """Bytes to text, or the finding that says why not."""
    if len(data) > limits.size_bytes:
        return Finding(
            rule="yaml-limit",
            severity="error",
            file=file,
            message=f"the file has {len(data):,} bytes; at most {limits.size_bytes:,} are read",
            fix="Split the file.",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Finding(
            rule="yaml-encoding",
            severity="error",
            file=file,
            line=data.count(b"\n", 0, error.start) + 1,
            message="the file is not UTF-8 text",
            fix="Save the file as UTF-8.",
        )


def read_documents(text: str, file: str, limits: Limits = STRICT_LIMITS) -> Documents:
    """Every document of a YAML or JSON text; empty documents are left out."""
    documents: list[Document] = []
    findings: list[Finding] = []
    for count, (first_line, chunk) in enumerate(_split(text)):
        if count == _MOST_DOCUMENTS or len(findings) >= MOST_FINDINGS:
            findings.append(_left_unread(file, first_line))
            break
        builder = Builder(file, first_line, limits)
        try:
            for event in yaml.parse(chunk, Loader=yaml.CSafeLoader):
                builder.take(event)
        except yaml.YAMLError as error:
            builder.findings.append(syntax_finding(error, chunk, file, first_line))
        except BoundBrokenError:
            pass  # The builder has said so, and the rest of the document is not worth the risk.
        documents += builder.documents
        findings += builder.findings
    return Documents(tuple(documents), tuple(findings))


def _left_unread(file: str, line: int) -> Finding:
    return Finding(
        rule="yaml-limit",
        severity="error",
        file=file,
        line=line,
        message=f"the rest is not read: at most {_MOST_DOCUMENTS:,} documents and "
        f"{MOST_FINDINGS} problems of one file are",
        fix="Split the file, and correct what was found so far.",
    )


_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_CONTENT = re.compile(r"^(?![ \t]*(?:#|\r?$)|%|\.\.\.[ \t]*\r?$|---[ \t]*(?:#|\r?$))", re.MULTILINE)


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Cut at document markers, so that a broken document ends where the next one begins.

    No content can hold `---` at the start of a line, not even a block scalar or a quoted string.
    Directives and comments before a marker stay with the document that they belong to.
    """
    start, looked, line = 0, 0, 1
    for marker in _MARKER.finditer(text):
        if _CONTENT.search(text, looked, marker.start()):
            chunk = text[start : marker.start()]
            yield line, chunk
            line += chunk.count("\n")
            start = marker.start()
        looked = marker.start()
    if _CONTENT.search(text, looked):
        yield line, text[start:]

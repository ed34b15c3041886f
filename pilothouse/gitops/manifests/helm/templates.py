"""Where in Git an object that Helm wrote comes from."""

import posixpath
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping

from pilothouse.gitops.manifests.folders import CHART
from pilothouse.gitops.manifests.loader import Loaded, LoadedManifest
from pilothouse.gitops.manifests.places import Place
from pilothouse.models.objects import Manifest

_SOURCE = re.compile(rb"^# Source: [^/\n]+/(.+?)\r?$", re.MULTILINE)


def trace(loaded: Loaded, output: bytes, files: Mapping[str, bytes], folder: str) -> Loaded:
    """Each object and finding with the template that Helm names for it, and its line there.

    The line is that of `kind:` in the template, the n-th for the n-th object of a kind. Where a
    template is not in Git, as in a packed chart, the archive or the chart's own file stands.

    Args:
        loaded: what Helm wrote, loaded.
        output: the same as bytes.
        files: the snapshot.
        folder: the chart's.
    """
    sources = _Sources(output, files, folder)
    seen: Counter[tuple[str, str]] = Counter()
    manifests = []
    for rendered in loaded.manifests:
        file = sources.file_at(rendered.manifest.line)
        kind = rendered.ref.kind
        line = _line_of(files[file], kind, seen[file, kind])
        seen[file, kind] += 1
        manifest = Manifest(file=file, line=line, body=rendered.body)
        manifests.append(LoadedManifest(manifest, Place(line)))
    findings = tuple(
        finding.model_copy(update={"file": sources.file_at(finding.line), "line": 1})
        for finding in loaded.findings
    )
    return Loaded(tuple(manifests), findings)


class _Sources:
    """Finds the file in Git for a line of Helm's output."""

    def __init__(self, output: bytes, files: Mapping[str, bytes], folder: str) -> None:
        self._files = files
        self._folder = folder
        self._lines: list[int] = []
        self._paths: list[str] = []
        line, position = 1, 0
        for match in _SOURCE.finditer(output):
            line += output.count(b"\n", position, match.start())
            position = match.start()
            self._lines.append(line)
            self._paths.append(match[1].decode(errors="replace"))

    def file_at(self, line: int) -> str:
        """The file of the last source before a line."""
        index = bisect_left(self._lines, line) - 1
        if index < 0:
            return posixpath.join(self._folder, CHART)
        path = posixpath.normpath(posixpath.join(self._folder, self._paths[index]))
        return path if path in self._files else self._packed(self._paths[index])

    def _packed(self, path: str) -> str:
        """The archive that a template of another chart is in, or the chart itself."""
        parts = path.split("/")
        if parts[0] == "charts" and len(parts) > 1:
            start = posixpath.join(self._folder, "charts", parts[1]) + "-"
            for file in self._files:
                if file.startswith(start) and file.endswith(".tgz"):
                    return file
        return posixpath.join(self._folder, CHART)


def _line_of(data: bytes, kind: str, index: int) -> int:
    pattern = re.compile(rb"^\s*[\"']?kind[\"']?:\s*[\"']?" + re.escape(kind.encode()) + rb"\b")
    lines = [number for number, row in enumerate(data.splitlines(), 1) if pattern.match(row)]
    return lines[min(index, len(lines) - 1)] if lines else 1

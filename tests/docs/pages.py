"""Reads the documentation as data: pages, sections, tables, fenced blocks, links."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CELL = re.compile(r"(?<!\\)\|")
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Fence:
    """One fenced block."""

    language: str
    text: str


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        """The path from the repository's root."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """All of it but the fenced blocks."""
        return _FENCE.sub("", self.text)

    @cached_property
    def fences(self) -> list[Fence]:
        """The fenced blocks, in order."""
        return [Fence(*found) for found in _FENCE.findall(self.text)]

    @cached_property
    def anchors(self) -> set[str]:
        """What `#...` may name, in the form that forges give it."""
        return {_anchor(title) for title in _HEADING.findall(self.prose)}

    @cached_property
    def links(self) -> list[str]:
        """The targets of all links."""
        return _LINK.findall(self.prose)

    def section(self, title: str) -> str:
        """The text below a heading of the second level, up to the next.

        Raises:
            AssertionError: there is no such section.
        """
        parts = re.split(r"(?m)^## ", self.prose)
        for part in parts[1:]:
            first, _, rest = part.partition("\n")
            if first.strip() == title:
                return rest
        raise AssertionError(f"{self.name} has no section {title!r}")


def page(name: str) -> Page:
    """One page by its path from the repository's root."""
    return Page(ROOT / name)


def all_pages() -> list[Page]:
    """Every page that people read."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [Page(path) for path in (*top, *sorted((ROOT / "docs").rglob("*.md")))]


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, heads and rules left out."""
    lines = [line.strip() for line in text.splitlines()]
    found = []
    for at, line in enumerate(lines):
        if not line.startswith("|") or _is_rule(line):
            continue
        if at + 1 < len(lines) and _is_rule(lines[at + 1]):
            continue
        found.append([cell.strip() for cell in _CELL.split(line)[1:-1]])
    return found


def codes(cell: str) -> list[str]:
    """What stands in backticks."""
    return _CODE.findall(cell)


def _is_rule(line: str) -> bool:
    return line.startswith("|") and set(line) <= set("|-: ")


def _anchor(title: str) -> str:
    words = re.sub(r"[^\w\- ]", "", title.replace("`", "").strip().lower())
    return words.replace(" ", "-")

"""Paths as agents write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.models.errors import PermanentError
from pilothouse.workspace.paths import repository_path, writable_path

HOSTILE = (
    "..",
    "/..",
    "/../etc/passwd",
    "/a/../b",
    "/a/./b",
    "/./a",
    "//a",
    "/a//b",
    "/.git",
    "/.git/config",
    "/.GIT/config",
    "/.git./config",
    "/.git /x",
    "/a/.git/hooks/x",
    "/git~1/config",
    "/.gitmodules",
    "/.gitattributes",
    "/a\\b",
    "C:\\x",
    "/a\x00b",
    "/a\nb",
    "/a\rb",
    "/a\tb",
    "/a\x1b[31m",
    "/a\u202eb",
    "/.g\u200cit/x",
    "/é",
    "/ａ",
    "/a:b",
    "/a*b",
    "/a?b",
    "/a|b",
    '/a"b',
    "/a'b",
    "/a`b",
    "/$(id)",
    "/a;b",
    "/a&b",
    "/a<b",
    "/~root/x~y",
    "/-rf",
    "/a/-rf",
    "/ a",
    "/a ",
    "/a/ b",
    "/%2e%2e/x",
    "/" + "a" * 101,
    "/" + "a/" * 300 + "b",
    "file:///etc/passwd",
    "https://example.com/",
)


@pytest.mark.parametrize("path", HOSTILE)
def test_a_hostile_path_is_refused(path: str) -> None:
    with pytest.raises(PermanentError) as refused:
        repository_path(path)
    assert refused.value.type == "ToolRefused"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ""),
        ("", ""),
        ("/manifests", "manifests"),
        ("/manifests/", "manifests"),
        ("docs/a b.md", "docs/a b.md"),
        ("/status/a-1_2.json", "status/a-1_2.json"),
        ("/.github/x.yml", ".github/x.yml"),
        ("/a/...", "a/..."),
    ],
)
def test_a_plain_path_is_one_of_the_repository(path: str, expected: str) -> None:
    assert repository_path(path) == expected


@given(st.text(max_size=60))
def test_whatever_passes_stays_inside(path: str) -> None:
    try:
        plain = repository_path(path)
    except PermanentError:
        return
    assert not plain.startswith("/") and ".git" not in plain.lower().split("/")
    assert not {"..", "."} & set(plain.split("/"))


@pytest.mark.parametrize(
    "path",
    [
        "/manifests/x.yaml",
        "/status",
        "/status/",
        "/statusx/a",
        "/status/../manifests/x",
        "/",
        "/status/runs/a.json",
        "/status/environments/staging.json",
        "/status/tests/a.json",
    ],
)
def test_outside_of_the_keys_folders_nothing_is_written(path: str) -> None:
    with pytest.raises(PermanentError):
        writable_path(path, ("status/",))


def test_below_the_keys_folders_writing_is_allowed() -> None:
    assert writable_path("/status/deployments.json", ("docs/", "status/")) == (
        "status/deployments.json"
    )
    with pytest.raises(PermanentError, match="no folder"):
        writable_path("/status/a", ())

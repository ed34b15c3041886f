"""Addresses, refs and revisions: hostile ones are refused where they enter."""

import subprocess
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pilothouse.models.repository import (
    BranchName,
    Commit,
    Ref,
    RepositoryEvent,
    RepositoryRef,
    Revision,
)

REF = TypeAdapter[str](Ref)
REVISION = TypeAdapter[str](Revision)
PARTS = st.sampled_from([*"ab.-_/@:\\~^? \n\t\0", "..", "//", ".git", ".lock", "@{", "refs", "é"])
MESS = st.lists(PARTS, max_size=12).map("".join)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/srv/repository.git",
        "file:///srv/repository.git",
        "ext::sh -c id",
        "git://example.org/a.git",
        "git@example.org:a/b.git",
        "https:///a",
        "https://example.org",
        "https://example.org/",
        "https://user@example.org/a",
        "https://user:secret@example.org/a",
        "https://@example.org/a",
        "ssh://user:secret@example.org/a",
        "ssh://-oProxyCommand=id/a",
        "ssh://-oProxyCommand@example.org/a",
        "https://example.org/a?token=secret",
        "https://example.org/a#b",
        "https://example.org/a/../b",
        "https://example.org/./a",
        "https://example.org//a",
        "https://example.org/.git",
        "https://example.org/a b",
        "https://example.org/a\n",
        "https://exa\tmple.org/a",
        "https://example.org/a;id",
        "https://example.org/$(id)",
        "https://example.org/a%2e%2e",
        "https://example.org:99999/a",
        "https://example.org:/a",
        "https://ex\u0430mple.org/a",
        "https://example.org\\@evil.example/a",
    ],
)
def test_a_hostile_or_useless_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        RepositoryRef(url=url)
    assert refused.value.errors()[0]["loc"] == ("url",)


@pytest.mark.parametrize(
    ("url", "slug"),
    [
        ("https://example.org/team/app.git", "example.org/team/app"),
        ("https://Example.ORG/team/app/", "example.org/team/app"),
        ("ssh://git@example.org:2222/team/app.git", "example.org:2222/team/app"),
        ("http://127.0.0.1:40001/app.git", "localhost/app"),
        ("http://localhost:40002/app", "localhost/app"),
        ("http://[::1]:40003/app", "localhost/app"),
    ],
)
def test_the_slug_survives_a_new_loopback_port_and_the_git_suffix(url: str, slug: str) -> None:
    assert RepositoryRef(url=url).slug == slug


@given(MESS, MESS)
@example("example.org", "a/.git")
def test_an_accepted_address_is_one_word_with_a_host_and_a_path(host: str, path: str) -> None:
    try:
        repository = RepositoryRef(url=f"https://{host}/{path}")
    except ValidationError:
        return
    parts = urlsplit(repository.url)
    assert repository.url.isprintable() and " " not in repository.url
    assert not (parts.username or parts.password or parts.query or parts.fragment)
    segments = repository.slug.split("/")
    assert len(segments) >= 2 and all(segments) and not {".", ".."} & set(segments)


@given(MESS)
@example("main\n")
@example("a/.hidden")
@example("a.lock/b")
@settings(max_examples=60)
def test_an_accepted_ref_is_one_that_git_accepts(name: str) -> None:
    try:
        ref = REF.validate_python(f"refs/heads/{name}")
    except ValidationError:
        return
    checked = subprocess.run(["git", "check-ref-format", ref], timeout=10, check=False)
    assert checked.returncode == 0, ref


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "main",
        "HEAD",
        "refs/heads/",
        "refs/heads/-f",
        "refs/heads/--upload-pack=id",
        "refs/heads/a..b",
        "refs/heads/a//b",
        "refs/heads/a/",
        "refs/heads/a.",
        "refs/heads/.a",
        "refs/heads/a/.b",
        "refs/heads/a.lock",
        "refs/heads/a.lock/b",
        "refs/heads/a b",
        "refs/heads/a\n",
        "refs/heads/a:refs/heads/b",
        "+refs/heads/a",
        "refs/notes/a",
        "refs/heads/a@{1}",
        "refs/heads/" + "a" * 300,
    ],
)
def test_a_hostile_ref_is_refused_and_an_event_with_it_says_so(ref: str) -> None:
    with pytest.raises(ValidationError):
        REF.validate_python(ref)
    event = RepositoryEvent.model_validate({"ref": ref})
    assert "expected a full ref" in event.problem


@pytest.mark.parametrize("branch", ["", "-f", "a..b", "a//b", "a/", "a.lock", "a/.b", "a b", "a\n"])
def test_a_default_branch_makes_a_valid_ref_or_is_refused(branch: str) -> None:
    with pytest.raises(ValidationError):
        RepositoryRef(url="https://example.org/a", default_branch=branch)
    with pytest.raises(ValidationError):
        TypeAdapter[str](BranchName).validate_python(branch)


@pytest.mark.parametrize("branch", ["main", "release/1.2", "v1_x-y"])
def test_an_ordinary_default_branch_is_taken(branch: str) -> None:
    repository = RepositoryRef(url="https://example.org/a", default_branch=branch)
    assert REF.validate_python(repository.default_ref) == f"refs/heads/{branch}"


@pytest.mark.parametrize("revision", ["a" * 40, "0" * 64])
def test_a_full_commit_id_is_a_revision(revision: str) -> None:
    assert REVISION.validate_python(revision) == revision


@pytest.mark.parametrize(
    "word", ["", "main", "a" * 39, "a" * 41, "A" * 40, "a" * 40 + "\n", "HEAD"]
)
def test_anything_else_is_no_revision(word: str) -> None:
    with pytest.raises(ValidationError):
        REVISION.validate_python(word)


def test_everyone_who_made_a_commit_is_known_in_lower_case() -> None:
    commit = Commit(
        revision="a" * 40,
        author_name="Ada",
        author_email="Ada@Example.org",
        committer_email="CI@example.org",
        co_authors=("Bob@example.org",),
        committed_at="2026-01-01T00:00:00+00:00",
        subject="x",
    )
    assert commit.people == {"ada", "ada@example.org", "ci@example.org", "bob@example.org"}

"""A rendering is used again for the same files, pipeline, environment and day; never otherwise."""

from pathlib import Path

import pytest

from activities import renders
from activities.renders import Renders
from pilothouse.clients.store import ContentStore
from pilothouse.models.findings import report
from pilothouse.models.objects import RenderedBundle, digest_of
from pilothouse.models.pipeline import Agent, Environment, Pipeline
from pilothouse.models.repository import Commit, Snapshot
from pilothouse.models.steps import RenderRequest, RenderResult

TODAY = "2026-11-22"


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path)


def request(
    revision: str = "a" * 40, tree: bytes = b"tree", namespace: str = "shop", environment: str = "x"
) -> RenderRequest:
    commit = Commit(
        revision=revision,
        author_name="Ada",
        author_email="ada@example.org",
        committer_email="ada@example.org",
        committed_at="2026-01-01T00:00:00+00:00",
        subject="x",
    )
    declared = Environment(namespace=namespace)
    return RenderRequest(
        snapshot=Snapshot(commit=commit, tree=digest_of(tree), files=1, bytes=1),
        pipeline=Pipeline(
            agents={"validator": Agent(trigger="webhook.push")},
            environments={"x": declared, "y": declared},
        ),
        environment=environment,
    )


def result(store: ContentStore, data: bytes = b"bundle") -> RenderResult:
    content = store.put(data)
    bundle = RenderedBundle(content=content, digest=content, objects=1)
    return RenderResult(bundle=bundle, report=report([], 1))


def test_another_commit_of_the_same_files_needs_no_rendering(store: ContentStore) -> None:
    known, made = Renders(store), result(store)
    known.put(Renders.key_of(request("a" * 40), TODAY), made)
    assert known.get(Renders.key_of(request("b" * 40), TODAY)) == made


def test_policies_of_the_same_files_may_be_named_or_not() -> None:
    alone = request()
    named = alone.model_copy(update={"policies_from": alone.snapshot})
    other = alone.model_copy(update={"policies_from": request(tree=b"base").snapshot})
    assert Renders.key_of(alone, TODAY) == Renders.key_of(named, TODAY)
    assert Renders.key_of(alone, TODAY) != Renders.key_of(other, TODAY)


@pytest.mark.parametrize(
    ("other", "day"),
    [
        (request(tree=b"other"), TODAY),
        (request(namespace="other"), TODAY),
        (request(environment="y"), TODAY),
        (request(), "2026-11-23"),
    ],
)
def test_other_files_pipelines_environments_and_days_are_rendered(
    other: RenderRequest, day: str, store: ContentStore
) -> None:
    known = Renders(store)
    known.put(Renders.key_of(request(), TODAY), result(store))
    assert known.get(Renders.key_of(other, day)) is None


def test_a_bundle_that_left_the_store_is_rendered_again(
    store: ContentStore, tmp_path: Path
) -> None:
    known, made = Renders(store), result(store)
    key = Renders.key_of(request(), TODAY)
    known.put(key, made)
    for file in tmp_path.rglob("*"):
        if file.is_file():
            file.unlink()
    assert known.get(key) is None


def test_findings_that_block_are_remembered_without_a_bundle(store: ContentStore) -> None:
    known, blocked = Renders(store), RenderResult(report=report([], 0))
    known.put("k", blocked)
    assert known.get("k") == blocked


def test_the_oldest_results_go_first(store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renders, "_MOST", 2)
    known = Renders(store)
    for key in ("one", "two", "three"):
        known.put(key, result(store))
    assert [known.get(key) is None for key in ("one", "two", "three")] == [True, False, False]

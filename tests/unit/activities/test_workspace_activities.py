"""Workspace activities over the shipped example: load, render, check, test."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from activities.workspace import WorkspaceActivities
from pilothouse.clients.kustomize import build_kustomization
from pilothouse.clients.schemas import built_in_schemas
from pilothouse.clients.store import ContentStore
from pilothouse.gitops.manifests.images import Unresolved
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models.errors import PermanentError
from pilothouse.models.objects import Bundle, canonical_json
from pilothouse.models.pipeline import Pipeline
from pilothouse.models.repository import Commit, Snapshot
from pilothouse.models.steps import RenderRequest, TestRequest

EXAMPLE = Path(__file__).parents[3] / "examples" / "model-api"
REVISION = "a" * 40
COMMIT = Commit(
    revision=REVISION,
    author_name="Ada",
    author_email="ada@example.org",
    committer_email="ada@example.org",
    committed_at="2026-01-01T00:00:00+00:00",
    subject="x",
)


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


@pytest.fixture(scope="module")
def schemas() -> SchemaCheck:
    return SchemaCheck(built_in_schemas())


@pytest.fixture
def workspace(store: ContentStore, schemas: SchemaCheck, tmp_path: Path) -> WorkspaceActivities:
    return WorkspaceActivities(
        store=store, schemas=schemas, kustomize=build_kustomization, scratch=tmp_path / "scratch"
    )


@pytest.fixture
def example() -> dict[str, bytes]:
    return {
        str(path.relative_to(EXAMPLE)): path.read_bytes()
        for path in EXAMPLE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def snapshot(
    store: ContentStore, files: Mapping[str, bytes], executables: tuple[str, ...] = ()
) -> Snapshot:
    tree = {
        path: {
            "mode": "100755" if path in executables else "100644",
            "size": len(data),
            "digest": store.put(data),
        }
        for path, data in files.items()
    }
    return Snapshot(
        commit=COMMIT,
        tree=store.put(canonical_json(tree)),
        files=len(tree),
        bytes=sum(map(len, files.values())),
    )


def pipeline_of(workspace: WorkspaceActivities, taken: Snapshot) -> Pipeline:
    load = workspace.load_pipeline(taken)
    assert load.pipeline is not None, load.findings
    return load.pipeline


# -- the pipeline file ----------------------------------------------------------------------------


def test_the_examples_pipeline_file_is_read(
    workspace: WorkspaceActivities, store: ContentStore, example: dict[str, bytes]
) -> None:
    pipeline = pipeline_of(workspace, snapshot(store, example))
    assert {"validator", "tester", "deployer", "monitor"} <= set(pipeline.agents)
    assert pipeline.environments


def test_a_repository_without_a_pipeline_file_is_told_what_to_add(
    workspace: WorkspaceActivities, store: ContentStore
) -> None:
    load = workspace.load_pipeline(snapshot(store, {"README.md": b"x"}))
    assert load.pipeline is None
    (finding,) = load.findings
    assert (finding.rule, finding.severity) == ("pipeline-file", "error")
    assert finding.message == "revision aaaaaaaaaaaa has no pipeline.yaml at its root"
    assert finding.fix


@pytest.mark.parametrize(
    "text", [b"", b"pipeline: [", b"pipeline: {agents: {}}", b"\xff\xfe", b"a"]
)
def test_a_pipeline_file_with_errors_comes_as_findings(
    workspace: WorkspaceActivities, store: ContentStore, text: bytes
) -> None:
    load = workspace.load_pipeline(snapshot(store, {"pipeline.yaml": text}))
    assert load.pipeline is None
    assert [finding.severity for finding in load.findings].count("error") >= 1
    assert {finding.file for finding in load.findings} == {"pipeline.yaml"}


def test_a_snapshot_that_is_not_in_this_store_is_a_final_error(
    workspace: WorkspaceActivities, tmp_path: Path, example: dict[str, bytes]
) -> None:
    elsewhere = snapshot(ContentStore(tmp_path / "elsewhere"), example)
    with pytest.raises(PermanentError) as missed:
        workspace.load_pipeline(elsewhere)
    assert missed.value.type == "StoreMiss"


# -- rendering ------------------------------------------------------------------------------------


def test_each_environment_of_the_example_renders_to_a_stored_bundle(
    workspace: WorkspaceActivities, store: ContentStore, example: dict[str, bytes]
) -> None:
    taken = snapshot(store, example)
    pipeline = pipeline_of(workspace, taken)
    digests = set()
    for name, environment in pipeline.environments.items():
        request = RenderRequest(snapshot=taken, pipeline=pipeline, environment=name)
        result = workspace.render_and_validate(request)
        assert result.bundle is not None, result.report.findings
        stored = Bundle.model_validate_json(store.get(result.bundle.content))
        assert stored.digest() == result.bundle.digest
        assert (stored.environment, stored.namespace) == (name, environment.namespace)
        assert len(stored.manifests) == result.bundle.objects == result.report.objects > 0
        digests.add(result.bundle.digest)
    assert len(digests) == len(pipeline.environments)


def test_rendering_is_a_function_of_its_input(
    workspace: WorkspaceActivities, store: ContentStore, example: dict[str, bytes]
) -> None:
    taken = snapshot(store, example)
    pipeline = pipeline_of(workspace, taken)
    (name, *_) = pipeline.environments
    request = RenderRequest(snapshot=taken, pipeline=pipeline, environment=name)
    assert workspace.render_and_validate(request) == workspace.render_and_validate(request)


def test_image_tags_become_digests_where_the_environment_asks(
    store: ContentStore, schemas: SchemaCheck, tmp_path: Path, example: dict[str, bytes]
) -> None:
    digest = "sha256:" + "a" * 64

    def workspace(answer: str | Unresolved) -> WorkspaceActivities:
        return WorkspaceActivities(
            store=store,
            schemas=schemas,
            kustomize=build_kustomization,
            scratch=tmp_path / "scratch",
            images=lambda images: dict.fromkeys(images, answer),
        )

    taken = snapshot(store, example)
    pipeline = pipeline_of(workspace(digest), taken)
    (name, *_) = pipeline.environments
    asking = pipeline.environments[name].model_copy(update={"resolve_images": True})
    environments = pipeline.environments | {name: asking}
    pipeline = pipeline.model_copy(update={"environments": environments})
    request = RenderRequest(snapshot=taken, pipeline=pipeline, environment=name)

    result = workspace(digest).render_and_validate(request)
    assert result.bundle is not None, result.report.findings
    assert f"@{digest}" in store.get(result.bundle.content).decode()

    refused = workspace(Unresolved("no such tag")).render_and_validate(request)
    assert refused.bundle is None
    errors = [finding for finding in refused.report.findings if finding.severity == "error"]
    assert {finding.rule for finding in errors} == {"image-unresolved"}
    assert all(finding.line > 1 for finding in errors)


def test_a_changed_policy_is_a_changed_plan(
    workspace: WorkspaceActivities, store: ContentStore, example: dict[str, bytes]
) -> None:
    taken = snapshot(store, example)
    pipeline = pipeline_of(workspace, taken)
    (name, *_) = pipeline.environments
    changed = pipeline.environments[name].model_copy(update={"health_timeout": "17m"})
    other = pipeline.model_copy(update={"environments": {**pipeline.environments, name: changed}})
    first, second = (
        workspace.render_and_validate(
            RenderRequest(snapshot=taken, pipeline=each, environment=name)
        ).bundle
        for each in (pipeline, other)
    )
    assert first is not None and second is not None
    assert first.digest != second.digest


def test_every_error_comes_at_once_and_no_bundle_with_them(
    workspace: WorkspaceActivities, store: ContentStore, example: dict[str, bytes]
) -> None:
    example["manifests/extra.yaml"] = (
        b"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {replicas: many}\n"
    )
    example["manifests/other.yaml"] = (
        b"apiVersion: v1\nkind: Service\nmetadata: {name: y}\nspec: {ports: [{port: none}]}\n"
    )
    taken = snapshot(store, example)
    pipeline = pipeline_of(workspace, taken)
    (name, *_) = pipeline.environments
    result = workspace.render_and_validate(
        RenderRequest(snapshot=taken, pipeline=pipeline, environment=name)
    )
    assert result.bundle is None
    assert result.report.verdict == "block"
    errors = {each.file for each in result.report.findings if each.severity == "error"}
    assert {"manifests/extra.yaml", "manifests/other.yaml"} <= errors


# -- tests ----------------------------------------------------------------------------------------


def request(taken: Snapshot, *commands: str) -> TestRequest:
    return TestRequest(snapshot=taken, commands=commands, timeout_seconds=20)


async def test_commands_run_in_an_export_of_the_snapshot_and_beat(
    workspace: WorkspaceActivities, store: ContentStore
) -> None:
    files = {"a.txt": b"hello", "bin/check.sh": b"#!/bin/sh\ncat a.txt\n"}
    taken = snapshot(store, files, executables=("bin/check.sh",))
    environment = ActivityEnvironment()
    beats: list[object] = []
    environment.on_heartbeat = lambda *details: beats.extend(details)
    report = await environment.run(workspace.run_tests, request(taken, "./bin/check.sh"))
    assert report.passed
    assert report.commands[0].output == "hello"
    assert beats == ["./bin/check.sh"]


async def test_a_failing_command_is_a_result_and_a_wrong_one_a_final_error(
    workspace: WorkspaceActivities, store: ContentStore
) -> None:
    taken = snapshot(store, {"a": b""})
    report = await ActivityEnvironment().run(workspace.run_tests, request(taken, "false"))
    assert not report.passed
    with pytest.raises(PermanentError) as refused:
        await ActivityEnvironment().run(workspace.run_tests, request(taken, "echo 'x"))
    assert refused.value.type == "TestSandboxFailed"

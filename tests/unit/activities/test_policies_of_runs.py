"""Own rules reach runs and the command line, and a pull request is held to those of its base."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from activities.workspace import WorkspaceActivities
from pilothouse.cli.main import application
from pilothouse.clients.kustomize import build_kustomization
from pilothouse.clients.schemas import built_in_schemas
from pilothouse.clients.store import ContentStore
from pilothouse.gitops.validation.schemas import SchemaCheck
from pilothouse.models.objects import canonical_json
from pilothouse.models.repository import Commit, Snapshot
from pilothouse.models.steps import RenderRequest, RenderResult

PIPELINE = """
pipeline:
  agents: {validator: {trigger: webhook.push}}
  environments: {staging: {namespace: shop}}
"""
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {mode: fast}\n"
POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: modes}
spec:
  matchConstraints:
    resourceRules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}
  validations:
    - expression: object.data.mode in ['safe'] || object.metadata.namespace != 'shop'
      message: unknown mode
"""
LOOSENED = POLICY.replace("['safe']", "['safe', 'fast']")
FILES = {"pipeline.yaml": PIPELINE, "manifests/c.yaml": CONFIG}


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


@pytest.fixture
def workspace(store: ContentStore, tmp_path: Path) -> WorkspaceActivities:
    return WorkspaceActivities(
        store=store,
        schemas=SchemaCheck(built_in_schemas()),
        kustomize=build_kustomization,
        scratch=tmp_path / "scratch",
    )


def snapshot(store: ContentStore, files: dict[str, str]) -> Snapshot:
    tree = {
        path: {"mode": "100644", "size": len(text), "digest": store.put(text.encode())}
        for path, text in files.items()
    }
    commit = Commit(
        revision="a" * 40,
        author_name="Ada",
        author_email="ada@example.org",
        committer_email="ada@example.org",
        committed_at="2026-01-01T00:00:00+00:00",
        subject="x",
    )
    return Snapshot(commit=commit, tree=store.put(canonical_json(tree)), files=len(tree), bytes=1)


def rendered(
    workspace: WorkspaceActivities, head: Snapshot, base: Snapshot | None = None
) -> RenderResult:
    pipeline = workspace.load_pipeline(head).pipeline
    assert pipeline is not None
    return workspace.render_and_validate(
        RenderRequest(snapshot=head, pipeline=pipeline, environment="staging", policies_from=base)
    )


def test_a_run_is_blocked_by_a_rule_of_its_own_revision(
    workspace: WorkspaceActivities, store: ContentStore
) -> None:
    result = rendered(workspace, snapshot(store, FILES | {"policies/p.yaml": POLICY}))
    assert result.bundle is None
    errors = [f for f in result.report.findings if f.severity == "error"]
    assert [(f.rule, f.message) for f in errors] == [("policy/modes", "unknown mode")]
    assert rendered(workspace, snapshot(store, FILES)).bundle is not None


def test_a_pull_request_cannot_loosen_the_rule_that_it_breaks(
    workspace: WorkspaceActivities, store: ContentStore
) -> None:
    base = snapshot(store, FILES | {"policies/p.yaml": POLICY})
    head = snapshot(store, FILES | {"policies/p.yaml": LOOSENED})
    assert rendered(workspace, head).bundle is not None
    assert rendered(workspace, head, base).bundle is None


def test_a_rule_that_cannot_be_used_blocks(
    workspace: WorkspaceActivities, store: ContentStore
) -> None:
    broken = POLICY.replace("object.data.mode in", "object.data.mode on")
    result = rendered(workspace, snapshot(store, FILES | {"policies/p.yaml": broken}))
    assert result.bundle is None
    (finding,) = [f for f in result.report.findings if f.severity == "error"]
    assert (finding.rule, finding.file, finding.line) == ("policy-invalid", "policies/p.yaml", 10)


@pytest.mark.parametrize("output", ["text", "json", "sarif", "github"])
def test_the_command_prints_violations_in_each_form(output: str, tmp_path: Path) -> None:
    for name, text in (FILES | {"policies/p.yaml": POLICY}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    words = ["validate", str(tmp_path), "--output", output, "--no-cache"]
    result = CliRunner().invoke(application("validate"), words)
    assert result.exit_code == 1
    match output:
        case "text":
            assert "manifests/c.yaml:4: error [policy/modes]" in result.stdout
        case "json":
            rules = {f["rule"] for f in json.loads(result.stdout)["findings"]}
            assert "policy/modes" in rules
        case "sarif":
            (run,) = json.loads(result.stdout)["runs"]
            assert "policy/modes" in {found["ruleId"] for found in run["results"]}
        case "github":
            assert "::error file=manifests/c.yaml,title=policy/modes " in result.stdout

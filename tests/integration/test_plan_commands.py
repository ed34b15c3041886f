"""`pilothouse plan` and `pilothouse drift` against a real API server."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
from kubernetes.aio import client
from typer.testing import CliRunner, Result

from pilothouse.cli.main import application
from pilothouse.cli.targets import read_target
from pilothouse.clients.cluster import ClusterClient
from pilothouse.models.names import inventory_name

SLUG = "git.example.org/team/shop"
PIPELINE = """\
pipeline:
  agents: {{deployer: {{trigger: webhook.push}}}}
  environments:
    staging: {{namespace: {namespace}}}
"""
MANIFESTS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {level: info}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: second}
---
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: hunter2}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {ports: [{port: 80}], selector: {app: api}}
"""


def git(folder: Path, *arguments: str) -> None:
    person = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    subprocess.run(["git", "-C", str(folder), *person, *arguments], check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path, namespace: str) -> Path:
    """A repository whose remote says which one it is."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "all.yaml").write_text(MANIFESTS, encoding="utf-8")
    pipeline = PIPELINE.format(namespace=namespace)
    (tmp_path / "pipeline.yaml").write_text(pipeline, encoding="utf-8")
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    git(tmp_path, "remote", "add", "origin", f"https://{SLUG}.git")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    return tmp_path


async def deploy(folder: Path, kubeconfig: Path) -> None:
    target = read_target(folder, "staging")
    async with await ClusterClient.connect(kubeconfig) as cluster:
        report = await cluster.apply(
            target.bundle,
            plan_digest=target.bundle.digest(),
            inventory=inventory_name(SLUG, "staging"),
            fencing=1,
            operation="test",
            revision=target.revision,
            prune=True,
            beat=lambda _: None,
        )
    assert report.ok, report


async def run(command: str, folder: Path, kubeconfig: Path, *words: str) -> Result:
    line = [command, str(folder), "--kubeconfig", str(kubeconfig), *words]
    return await asyncio.to_thread(CliRunner().invoke, application(command), line)


async def test_a_first_plan_creates_everything_and_shows_no_secret(
    folder: Path, admin_kubeconfig: Path
) -> None:
    result = await run("plan", folder, admin_kubeconfig)
    assert result.exit_code == 0, result.output
    assert "4 to create" in result.output
    assert "password: (masked)" in result.output
    assert "hunter2" not in result.output


async def test_a_deployed_folder_has_neither_changes_nor_drift(
    folder: Path, admin_kubeconfig: Path
) -> None:
    await deploy(folder, admin_kubeconfig)
    planned = await run("plan", folder, admin_kubeconfig)
    assert "staging: 4 unchanged" in planned.output
    drifted = await run("drift", folder, admin_kubeconfig)
    assert drifted.exit_code == 0, drifted.output
    assert "no drift: the cluster matches Git" in drifted.output


async def test_drift_names_fields_missing_and_extra_objects_and_masks_secrets(
    folder: Path, admin_kubeconfig: Path, admin: client.ApiClient, namespace: str
) -> None:
    await deploy(folder, admin_kubeconfig)
    core = client.CoreV1Api(admin)
    # As a person does with `kubectl edit`, whose fields an apply takes back.
    by_hand = {"data": {"level": "debug"}}
    await core.patch_namespaced_config_map(
        "settings", namespace, by_hand, field_manager="kubectl-edit"
    )
    await core.patch_namespaced_secret("login", namespace, {"stringData": {"password": "other"}})
    await core.delete_namespaced_config_map("second", namespace)
    rest = "\n---\n".join(part for part in MANIFESTS.split("---\n") if "Service" not in part)
    (folder / "manifests" / "all.yaml").write_text(rest, encoding="utf-8")

    result = await run("drift", folder, admin_kubeconfig, "--output", "json")
    assert result.exit_code == 1, result.output
    found = json.loads(result.output)
    assert found["clean"] is False
    shown = {
        each["object"]["name"]: [(d["path"], d["before"], d["after"]) for d in each["diff"]]
        for each in found["drifted"]
    }
    assert shown == {
        "settings": [("/data/level", "info", "debug")],
        "login": [("/data/password", None, None)],
    }
    assert [each["name"] for each in found["missing"]] == ["second"]
    assert [each["kind"] for each in found["extra"]] == ["Service"]
    for form in ("text", "markdown"):
        printed = (await run("drift", folder, admin_kubeconfig, "--output", form)).output
        assert "data.level  info -> debug" in printed
        assert "other" not in printed


async def test_a_field_that_another_manager_claims_is_drift_and_says_whose_it_is(
    folder: Path, admin_kubeconfig: Path, admin: client.ApiClient, namespace: str
) -> None:
    await deploy(folder, admin_kubeconfig)
    changed = {"data": {"level": "debug"}}
    core = client.CoreV1Api(admin)
    await core.patch_namespaced_config_map("settings", namespace, changed, field_manager="robot")
    result = await run("drift", folder, admin_kubeconfig, "--output", "json")
    (found,) = json.loads(result.output)["drifted"]
    assert (found["object"]["name"], found["fields"]) == ("settings", ["/data/level"])
    assert "robot" in found["claimed"]
    assert result.exit_code == 1


async def test_an_environment_is_found_by_its_inventory_where_no_remote_tells_the_repository(
    folder: Path, admin_kubeconfig: Path
) -> None:
    await deploy(folder, admin_kubeconfig)
    git(folder, "remote", "remove", "origin")
    result = await run("drift", folder, admin_kubeconfig)
    assert result.exit_code == 0, result.output
    assert inventory_name(SLUG, "staging") in result.output


async def test_a_folder_that_is_ahead_can_be_compared_as_it_was_deployed(
    folder: Path, admin_kubeconfig: Path
) -> None:
    await deploy(folder, admin_kubeconfig)
    newer = MANIFESTS.replace("level: info", "level: debug")
    (folder / "manifests" / "all.yaml").write_text(newer, encoding="utf-8")
    git(folder, "commit", "--quiet", "--all", "--message", "two")
    ahead = await run("drift", folder, admin_kubeconfig)
    assert (ahead.exit_code, "add --revision" in ahead.output) == (1, True)
    deployed = await run("drift", folder, admin_kubeconfig, "--revision", "HEAD~1")
    assert deployed.exit_code == 0, deployed.output


async def test_without_a_known_inventory_whose_an_object_is_makes_no_difference(
    folder: Path, admin_kubeconfig: Path, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await deploy(folder, admin_kubeconfig)
    alone = tmp_path_factory.mktemp("alone")
    text = MANIFESTS.split("---")[0].replace(
        "name: settings", f"name: settings, namespace: {namespace}"
    )
    (alone / "one.yaml").write_text(text, encoding="utf-8")
    result = await run("plan", alone, admin_kubeconfig)
    assert "1 unchanged" in result.output
    (alone / "one.yaml").write_text(text.replace("info", "debug"), encoding="utf-8")
    result = await run("plan", alone, admin_kubeconfig)
    assert "~ data.level  info -> debug" in result.output
    assert "inventory" not in result.output.partition("plan ")[0]

"""What the compose file promises in its first lines, read from the file itself."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pilothouse.clients.settings import CREDENTIALS_OF, Settings
from pilothouse.models import names

ROOT = Path(__file__).parents[3]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_runs_without_power(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "docker.sock" not in str(service)
    assert service["mem_limit"]
    assert service["pids_limit"]


def test_only_the_web_ui_may_write_beside_its_volumes() -> None:
    assert [name for name, each in SERVICES.items() if not each["read_only"]] == ["temporal-ui"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_port_is_published_on_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_a_full_version(name: str) -> None:
    assert re.search(r":\d+\.\d+", SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_everything_that_stays_is_watched(name: str) -> None:
    service = SERVICES[name]
    assert name.startswith("prepare-") or service["healthcheck"]["test"]


def test_no_secret_has_a_value_or_a_default() -> None:
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].startswith("${PILOTHOUSE_SECRETS:?")
    for service in SERVICES.values():
        given = service.get("environment", {})
        assert not [key for key in given if re.search(r"PWD|PASSWORD$|SECRET|TOKEN", key)]


def test_the_cluster_gets_the_same_search_attributes_as_the_embedded_server() -> None:
    script = (ROOT / "deploy/temporal/prepare-namespace.sh").read_text()
    assert dict(re.findall(r"--name (\w+) --type (\w+)", script)) == names.SEARCH_ATTRIBUTES


def test_every_distribution_in_the_image_has_its_hashes() -> None:
    for lock in ("requirements.lock", "deploy/build.lock"):
        text = re.sub(r"\\\n", " ", (ROOT / lock).read_text())
        pinned = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
        assert pinned
        assert [line for line in pinned if "==" not in line or "--hash=sha256:" not in line] == []


def test_the_image_is_not_built_as_root_nor_with_strangers() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER 10001:10001$", dockerfile, re.MULTILINE)
    installs = re.findall(r"pip install (.*)", dockerfile)
    assert installs
    assert all("--require-hashes" in each or "--no-index" in each for each in installs)


def test_every_declared_dependency_is_locked() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    block = project.split("dependencies = [", 1)[1].split("]\n", 1)[0]
    wanted = {name.lower() for name in re.findall(r'"([A-Za-z0-9_-]+)', block)}
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "requirements.lock").read_text(), re.M))
    assert wanted <= locked


# -- credentials ----------------------------------------------------------------------------------

WORKERS = {
    re.findall(r"--queue (\S+)", " ".join(each["command"]))[0]: each
    for name, each in SERVICES.items()
    if name.startswith("worker")
}
OURS = {
    names.WORKFLOW_QUEUE: (set[str](), set[str]()),
    names.GIT_QUEUE: ({"git_credentials"}, {"PILOTHOUSE_GIT_CREDENTIALS"}),
    names.CLUSTER_QUEUE: ({"kubeconfig"}, {"PILOTHOUSE_KUBECONFIG"}),
    names.WORKSPACE_QUEUE: (set[str](), set[str]()),
    names.AGENTS_QUEUE: (
        {"anthropic_api_key", "openai_api_key", "mcp_tokens"},
        {
            "PILOTHOUSE_ANTHROPIC_API_KEY",
            "PILOTHOUSE_OPENAI_API_KEY",
            "PILOTHOUSE_MCP_TOKENS",
            "PILOTHOUSE_MODEL_ENDPOINTS",
            "PILOTHOUSE_WORKSPACE_URL",
        },
    ),
}
"""Queue -> the secret files and the variables of its worker."""


def test_each_queue_has_a_worker_of_its_own() -> None:
    assert set(WORKERS) == set(names.TASK_QUEUES)


@pytest.mark.parametrize("queue", names.TASK_QUEUES)
def test_a_worker_has_its_own_secrets_and_variables_and_no_others(queue: str) -> None:
    service, (secrets, variables) = WORKERS[queue], OURS[queue]
    assert set(service.get("secrets", ())) == secrets
    assert (
        set(re.findall(r"PILOTHOUSE_\w+", str(service["command"])))
        | {name for name in service["environment"] if name.startswith("PILOTHOUSE_")}
        == variables
    )
    for secret in re.findall(r"/run/secrets/(\w+)", str(service)):
        assert secret in secrets
    assert service["volumes"] == ["worker:/var/lib/pilothouse"]
    assert f"--task-queue {queue} " in service["healthcheck"]["test"][1]


@pytest.mark.parametrize("queue", names.TASK_QUEUES)
def test_each_variable_of_a_worker_is_a_setting_of_its_queue(queue: str) -> None:
    fields = {name.removeprefix("PILOTHOUSE_").lower() for name in OURS[queue][1]}
    others = set().union(*(CREDENTIALS_OF[each] for each in CREDENTIALS_OF if each != queue))
    assert fields <= set(Settings.model_fields)
    assert fields & others == set()


def test_the_local_model_is_locked_as_it_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock = (ROOT / "requirements-llm.lock").read_text()
    pinned = re.findall(r"^(\S+==\S+) \\\n +--hash=sha256:", lock, re.MULTILINE)
    assert sorted(pinned) == sorted(project["dependency-groups"]["llm"])

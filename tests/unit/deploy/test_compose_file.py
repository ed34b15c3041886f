"""What the compose file promises in its first lines, read from the file itself."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

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

"""`pilothouse health` without a cluster: what is printed, and how it ends."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from pilothouse.cli.main import application

SERVICE = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api", "namespace": "shop"}}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": "shop"},
    "status": {"phase": "Lost"},
}
CRON_JOB = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": {"name": "nightly"},
    "spec": {"suspend": True},
}
PIPELINE = """\
pipeline:
  agents:
    tester: {trigger: manual}
  health_checks:
    - {api_version: v1, kind: Service, current: "has(spec.clusterIP)"}
"""


def health(*words: str | Path, text: str = "") -> Result:
    return CliRunner().invoke(application("health"), ["health", *map(str, words)], input=text)


def lines(*objects: object) -> str:
    return "".join(json.dumps(one) + "\n" for one in objects)


def test_one_line_an_object_in_the_order_of_the_input() -> None:
    result = health("--output", "json", text=lines(CLAIM, SERVICE, CRON_JOB))
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [list(one)[:2] for one in found] == [["status", "message"]] * 3
    assert [one["status"] for one in found] == ["Degraded", "Healthy", "Suspended"]
    assert found[0]["message"] == "its volume is gone"
    assert found[0]["object"]["name"] == "data"
    assert result.exit_code == 1


def test_what_works_or_rests_on_purpose_is_well(tmp_path: Path) -> None:
    file = tmp_path / "live.json"
    file.write_text(lines(SERVICE, CRON_JOB), encoding="utf-8")
    result = health(file)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "Healthy     Service/shop/api"


def test_the_checks_of_a_pipeline_file_are_used(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(PIPELINE, encoding="utf-8")
    assert health(text=lines(SERVICE)).exit_code == 0
    assert health("--pipeline", file, text=lines(SERVICE)).exit_code == 1


def test_a_broken_check_is_wrong_use(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yaml"
    file.write_text(PIPELINE.replace("clusterIP)", "clusterIP"), encoding="utf-8")
    result = health("--pipeline", file, text=lines(SERVICE))
    assert result.exit_code == 2
    assert f"{file}:5: current is no CEL" in result.stderr


def test_broken_input_is_named_with_its_line() -> None:
    result = health(text=lines(SERVICE) + "{broken\n")
    assert result.exit_code == 2
    assert "standard input:2: is no JSON" in result.stderr
    assert result.stdout == ""


def test_what_is_no_file_and_no_object_is_wrong_use(tmp_path: Path) -> None:
    assert health(tmp_path / "none.yaml").exit_code == 2
    assert health("a/b/c").exit_code == 2
    assert health("Deployment/").exit_code == 2
    assert health(text="").exit_code == 2

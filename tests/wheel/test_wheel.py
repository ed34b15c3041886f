"""What is shipped is the wheel: complete, installable, and alone with its names."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ("activities", "pilothouse", "worker.py", "workflows")
EXAMPLE = "examples/model-api"
SECONDS = 120


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program with a cleared environment; its output, or a failure that shows it."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(cwd), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without isolation: no network."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a new environment with the wheel, and our dependencies by a path file."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, symlinks=True)
    # The programs of this Python's own folder, where `make` installs uv, come first.
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    assert uv is not None, "uv is needed to install the wheel: requirements.bootstrap has it"
    python = home / "bin" / "python"
    options = ("--no-deps", "--no-index", "--offline", "--no-cache", "--python", python)
    run(uv, "pip", "install", *options, wheel, cwd=home)
    (site,) = home.glob("lib/python*/site-packages")
    dependencies = sysconfig.get_path("purelib")
    (site / "dependencies.pth").write_text(f"{dependencies}\n", encoding="utf-8")
    return home / "bin"


def names_in(wheel: Path) -> set[str]:
    with ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def tracked(*paths: str) -> set[str]:
    """The files of the tree that Git knows or would take."""
    known = ("--cached", "--others", "--exclude-standard", "--deduplicate")
    return set(run("git", "ls-files", *known, "--", *paths, cwd=ROOT).split("\n")) - {""}


def test_the_wheel_has_our_four_names_at_its_top_and_nothing_else(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in names_in(wheel)}
    assert tops - {top for top in tops if top.endswith(".dist-info")} == set(SHIPPED)
    assert len([top for top in tops if top.endswith(".dist-info")]) == 1


def test_every_file_of_our_folders_is_in_the_wheel_and_no_other(wheel: Path) -> None:
    ours = tracked(*SHIPPED)
    examples = {f"pilothouse/{name}" for name in tracked(EXAMPLE)}
    inside = {name for name in names_in(wheel) if ".dist-info/" not in name}
    assert inside == ours | examples
    assert examples, "the example is not tracked"


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go", "rbac.yaml", "releases.json"])
def test_what_is_no_python_is_shipped_too(wheel: Path, name: str) -> None:
    assert f"pilothouse/local/controlplane/{name}" in names_in(wheel)


def test_the_wheel_names_no_folder_of_this_machine(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        for name in archive.namelist():
            assert str(ROOT).encode() not in archive.read(name), name


def test_the_installed_code_is_what_runs_outside_the_checkout(
    installed: Path, tmp_path: Path
) -> None:
    program = (
        "import json, activities, pilothouse, worker, workflows;"
        "print(json.dumps([m.__file__ for m in (activities, pilothouse, worker, workflows)]))"
    )
    files: list[str] = json.loads(run(installed / "python", "-c", program, cwd=tmp_path))
    assert all(Path(file).is_relative_to(installed.parent) for file in files), files


def test_the_commands_say_how_they_are_used(installed: Path, tmp_path: Path) -> None:
    assert "Durable AI agents for GitOps" in run(installed / "pilothouse", "--help", cwd=tmp_path)
    assert "--queue" in run(installed / "python", "-m", "worker", "--help", cwd=tmp_path)


def test_the_shipped_example_is_valid_with_the_shipped_command(
    installed: Path, tmp_path: Path
) -> None:
    (package,) = installed.parent.glob("lib/python*/site-packages/pilothouse")
    example = tmp_path / "model-api"
    shutil.copytree(package / EXAMPLE, example)
    said = run(installed / "pilothouse", "validate", example, "--output", "json", cwd=tmp_path)
    answer = json.loads(said)
    assert [each for each in answer["findings"] if each["severity"] == "error"] == []
    assert answer["objects"] > 0


def test_no_other_distribution_claims_our_names(installed: Path, tmp_path: Path) -> None:
    program = (
        "import importlib.metadata as m, json;"
        "print(json.dumps({k: sorted(set(v)) for k, v in m.packages_distributions().items()}))"
    )
    owners: dict[str, list[str]] = json.loads(
        run(installed / "python", "-c", program, cwd=tmp_path)
    )
    for name in SHIPPED:
        assert owners[name.removesuffix(".py")] == ["pilothouse"]

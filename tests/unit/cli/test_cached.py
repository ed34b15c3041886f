"""A command runs once for the same files; what it prints and how it ends stay the same."""

import subprocess
import sys
from pathlib import Path

import pytest

from pilothouse.cli.cached import run_cached
from pilothouse.clients import answer_cache

ROOT = Path(__file__).parents[3]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PILOTHOUSE_CACHE_DIR", str(tmp_path / "cache"))
    # Whoever edits our sources while the tests run changes every key, and rightly so.
    monkeypatch.setattr(answer_cache, "_programs", lambda: iter(()))
    root = tmp_path / "manifests"
    root.mkdir()
    (root / "a.yaml").write_text("kind: A\n")
    return str(root)


class Command:
    """Counts its runs."""

    def __init__(self, said: str = "said\n", complaint: str = "", code: int = 0) -> None:
        self.runs = 0
        self._said, self.complaint, self._code = said, complaint, code

    def __call__(self) -> None:
        self.runs += 1
        sys.stdout.write(self._said)
        sys.stderr.write(self.complaint)
        raise SystemExit(self._code)


@pytest.mark.parametrize("code", [0, 1])
def test_the_second_run_says_the_same_without_running(
    code: int, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(code=code)
    for _ in range(2):
        assert run_cached(["validate", folder], command) == code
        assert capsys.readouterr().out == "said\n"
    assert command.runs == 1


@pytest.mark.parametrize(
    "command", [Command(code=2), Command(code=3), Command(complaint="no\n", code=1)]
)
def test_what_is_no_answer_is_not_kept(
    command: Command, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for runs in (1, 2):
        run_cached(["validate", folder], command)
        assert command.runs == runs
        assert capsys.readouterr().err == command.complaint


def test_no_cache_neither_uses_nor_keeps(folder: str) -> None:
    command = Command()
    run_cached(["validate", folder, "--no-cache"], command)
    run_cached(["validate", folder], command)
    run_cached(["validate", folder, "--no-cache"], command)
    assert command.runs == 3


def test_files_that_change_meanwhile_are_not_answered_for(folder: str) -> None:
    def change_and_say() -> None:
        Path(folder, "a.yaml").write_text("kind: B\n", "utf-8")
        sys.stdout.write("about A\n")

    run_cached(["validate", folder], change_and_say)
    Path(folder, "a.yaml").write_text("kind: A\n", "utf-8")
    command = Command("about A, truly\n")
    run_cached(["validate", folder], command)
    assert command.runs == 1


def test_an_answer_from_the_cache_needs_neither_parser_nor_models(folder: str) -> None:
    code = (
        "import sys\n"
        "from pilothouse.cli.main import main\n"
        "sys.argv = ['pilothouse', 'validate', sys.argv[1]]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('loaded', *{'typer', 'pydantic', 'yaml', 'structlog', 'rich'} & sys.modules.keys())"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code, folder],
            cwd=ROOT,
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for _ in range(2)
    ]
    assert "structlog" not in said[0]
    assert "rich" not in said[0].splitlines()[-1]
    assert said[1].splitlines()[-1] == "loaded"
    assert said[0].splitlines()[:-1] == said[1].splitlines()[:-1]

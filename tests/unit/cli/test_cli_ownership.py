"""`pilothouse owner`: who it says an environment is, and what it refuses before it asks anybody."""

import pytest
from typer.testing import CliRunner, Result

from pilothouse.cli.main import application

URL = "https://git.example.org/team/model-api.git"
ANN = "ann@example.org"


def owner(*words: str) -> Result:
    return CliRunner().invoke(application("owner"), ["owner", URL, "production", *words])


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing listens on this port.
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--to", ANN), "--by and --reason"),
        (("--nobody", "--by", ANN), "--by and --reason"),
        (("--to", ANN, "--nobody", "--by", ANN, "--reason", "x"), "either"),
    ],
)
def test_wrong_use_is_told_with_exit_code_2(words: tuple[str, ...], complaint: str) -> None:
    result = owner(*words)
    assert (result.exit_code, complaint in result.stderr) == (2, True)


def test_without_temporal_it_says_so_with_exit_code_3() -> None:
    result = owner()
    assert (result.exit_code, "Temporal does not answer" in result.stderr) == (3, True)

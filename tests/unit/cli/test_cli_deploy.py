"""`pilothouse deploy` before anything is started."""

from typer.testing import CliRunner

from pilothouse.cli.main import application

WORDS = ("deploy", "https://git.example.org/app.git", "a" * 40, "staging", "--force")


def test_to_force_a_deployment_without_a_name_and_a_reason_is_wrong_use() -> None:
    for words in ((), ("--by", "lead@example.org"), ("--by", " ", "--reason", "because")):
        result = CliRunner().invoke(application("deploy"), [*WORDS, *words])
        assert result.exit_code == 2
        assert "--force needs --by and --reason" in result.output

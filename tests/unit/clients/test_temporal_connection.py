import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.common import TypedSearchAttributes

from pilothouse.clients.temporal import search
from pilothouse.clients.temporal.connection import TemporalConnection, connect
from pilothouse.models import names
from pilothouse.models.errors import PermanentError, TemporaryError

NOBODY = "127.0.0.1:1"


@pytest.fixture(autouse=True)
def _no_configuration_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ADDRESS", "NAMESPACE", "PROFILE"):
        monkeypatch.delenv(f"TEMPORAL_{name}", raising=False)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "temporal.toml"))


async def test_nobody_there_names_the_address_and_what_to_do() -> None:
    with pytest.raises(TemporaryError) as caught:
        await connect(TemporalConnection(address=NOBODY))
    assert caught.value.type == "TemporalUnavailable"
    assert NOBODY in str(caught.value)
    assert "TEMPORAL_ADDRESS" in str(caught.value)


async def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(TemporaryError, match=r"no answer in 0\.2 s"):
            await connect(
                TemporalConnection(address=f"127.0.0.1:{port}"),
                timeout=timedelta(seconds=0.2),
            )


async def test_the_environment_of_the_temporal_command_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", NOBODY)
    with pytest.raises(TemporaryError, match=NOBODY):
        await connect()


async def test_a_profile_of_the_temporal_command_is_used(tmp_path: Path) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text(f'[profile.staging]\naddress = "{NOBODY}"\n')
    with pytest.raises(TemporaryError, match=NOBODY):
        await connect(TemporalConnection(profile="staging", config_file=file))


@pytest.mark.parametrize("text", ["[profile.other]\n", "not toml ["])
async def test_an_unreadable_configuration_says_where_to_look(tmp_path: Path, text: str) -> None:
    file = tmp_path / "profiles.toml"
    file.write_text(text)
    with pytest.raises(PermanentError, match="TEMPORAL_PROFILE") as caught:
        await connect(TemporalConnection(profile="staging", config_file=file))
    assert caught.value.type == "InvalidRequest"


async def test_an_address_of_the_wrong_form_is_permanent() -> None:
    with pytest.raises(PermanentError, match="host:port"):
        await connect(TemporalConnection(address="::bad"))


def test_search_attributes_are_typed_and_empty_ones_left_out() -> None:
    built = search.search_attributes(repository="h/acme/app", phase="validating")
    assert built[search.REPOSITORY] == "h/acme/app"
    assert built[search.PHASE] == "validating"
    assert len(built) == 2
    assert search.search_attributes() == TypedSearchAttributes([])


def test_every_search_attribute_has_its_key() -> None:
    keys = {
        search.REPOSITORY,
        search.ENVIRONMENT,
        search.REVISION,
        search.PHASE,
        search.OUTCOME,
    }
    assert {key.name for key in keys} == set(names.SEARCH_ATTRIBUTES)

"""From a model's name in Git to a provider: what is known, what is refused, in which words."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from pydantic_settings import SettingsError

from pilothouse.clients.models import Price, PriceTable, Prompt, Provider, Providers, result_tool
from pilothouse.clients.models.prices import SHIPPED
from pilothouse.clients.models.recordings import RecordingProvider, ReplayProvider
from pilothouse.clients.models.scripted import Script, ScriptedProvider
from pilothouse.clients.models.transport import model_http_client
from pilothouse.clients.settings import Settings
from pilothouse.models.conversations import Conversation, Message, TextBlock, ToolCallBlock
from pilothouse.models.errors import PermanentError, TemporaryError
from pilothouse.models.model_calls import Usage

KEY = "sk-canary-1234567890"


def prompt(*messages: Message, **changes: Any) -> Prompt:
    given: dict[str, Any] = {
        "conversation": Conversation(messages=messages),
        "result": result_tool(),
        "max_output_tokens": 10,
        "timeout": 1.0,
    }
    return Prompt(**(given | changes))


def said(text: str) -> Message:
    return Message(role="assistant", blocks=(TextBlock(text=text),))


def providers(**settings: Any) -> Providers:
    return Providers(Settings.model_validate(settings))


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ("", {}, "anthropic, openai, scripted, record, replay"),
        ("claude-x", {}, "anthropic, openai, scripted, record, replay"),
        ("claude:", {}, "write `provider:model`"),
        ("gemini:x", {"model_endpoints": {"ollama": {"base_url": "http://h/v1"}}}, "ollama"),
        ("anthropic:\x00", {}, "is no model"),
        ("anthropic:" + "x" * 300, {}, "is no model"),
        ("anthropic:x", {}, "set PILOTHOUSE_ANTHROPIC_API_KEY"),
        ("openai:x", {}, "set PILOTHOUSE_OPENAI_API_KEY"),
        ("scripted:x", {}, "set PILOTHOUSE_MODEL_SCRIPTS"),
        ("replay:x", {}, "set PILOTHOUSE_MODEL_RECORDINGS"),
        ("scripted:../../etc/passwd", {"model_scripts": "/tmp"}, "letters, digits"),
        ("scripted:/etc/passwd", {"model_scripts": "/tmp"}, "letters, digits"),
        ("scripted:none", {"model_scripts": "/nowhere"}, "there is no script"),
        ("record:a:replay:b", {"model_recordings": "/tmp"}, "records a recording"),
        ("record:a", {"model_recordings": "/tmp"}, "is no model"),
    ],
)
def test_a_model_that_cannot_be_is_refused_with_what_to_do(
    model: str, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(PermanentError) as raised:
        providers(**settings).provider_for(model)
    assert words in str(raised.value)
    assert raised.value.type == "ModelRefused"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://models.example.org/v1", "in the clear"),
        ("https://user:word@models.example.org/v1", "holds credentials"),
        ("ftp://models.example.org", "no http"),
        ("models.example.org", "no http"),
    ],
)
@pytest.mark.parametrize("kind", ["anthropic", "openai", "other"])
def test_an_address_that_would_give_a_key_away_is_refused(kind: str, url: str, words: str) -> None:
    settings = {
        "anthropic_api_key": KEY,
        "anthropic_base_url": url,
        "openai_api_key": KEY,
        "openai_base_url": url,
        "model_endpoints": {"other": {"base_url": url, "api_key": KEY}},
    }
    with pytest.raises(PermanentError, match=words) as raised:
        providers(**settings).provider_for(f"{kind}:m")
    assert KEY not in str(raised.value)
    assert "word@" not in str(raised.value)


async def test_without_the_extra_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "pilothouse.clients.models.openai_api", raising=False)
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(PermanentError, match=r"pilothouse\[openai\]"):
        providers(openai_api_key=KEY).provider_for("openai:m")


def test_an_sdk_is_imported_by_no_one_who_does_not_ask_for_it() -> None:
    code = "import sys, activities.models; print({'anthropic', 'openai'} & set(sys.modules))"
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


async def test_a_server_without_a_key_may_be_plain_http() -> None:
    endpoints = {"ollama": {"base_url": "http://models.example.org:11434/v1"}}
    async with providers(model_endpoints=endpoints) as known:
        assert known.provider_for("ollama:qwen3:8b") is known.provider_for("ollama:qwen3:8b")


@pytest.mark.parametrize("name", ["openai", "replay", "a b", "a:b"])
def test_an_endpoint_cannot_take_the_name_of_a_provider(name: str) -> None:
    with pytest.raises(PermanentError, match="MODEL_ENDPOINTS") as raised:
        providers(model_endpoints={name: {"base_url": "http://h/v1"}})
    assert raised.value.type == "InvalidRequest"


async def test_keys_show_up_nowhere() -> None:
    settings = Settings.model_validate({
        "anthropic_api_key": KEY,
        "openai_api_key": KEY,
        "model_endpoints": {"a": {"base_url": "https://h/v1", "api_key": KEY}},
        "model_proxy": f"http://user:{KEY}@proxy.example.org",
    })
    assert KEY not in f"{settings!r} {settings.model_dump_json()}"


@pytest.mark.parametrize(
    "value", ['{"a": {"base_url": "x", "api_key": ["s3cr3t"]}}', '{"a": "s3cr3t"}', "s3cr3t"]
)
def test_endpoints_in_the_wrong_form_are_not_quoted(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILOTHOUSE_MODEL_ENDPOINTS", value)
    with pytest.raises((ValidationError, SettingsError)) as refused:
        Settings()
    assert "model_endpoints" in str(refused.value)
    assert "s3cr3t" not in str(refused.value)


async def test_a_key_follows_no_redirect_and_the_environment_sets_no_proxy() -> None:
    async with model_http_client() as http:
        assert not http.follow_redirects
        assert not http.trust_env


# -- scripts --------------------------------------------------------------------------------------


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    script = {
        "replies": [
            {"calls": [{"tool": "kube__get", "arguments": {"name": "web"}}], "input_tokens": 5},
            {"fault": "unavailable"},
            {"fault": "refused"},
            {"seconds": 60},
            {"text": "so", "result": {"decision": "pass"}},
        ]
    }
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(script), encoding="utf-8")
    return tmp_path


async def test_a_script_goes_on_where_the_conversation_stands(scripts: Path) -> None:
    provider = providers(model_scripts=scripts).provider_for("scripted:demo")
    first = await provider.complete(prompt())
    assert first.stop == "tool_use"
    assert first.message.calls == (
        ToolCallBlock(id="call_0_0", name="kube__get", arguments={"name": "web"}),
    )
    assert (first.usage.calls, first.usage.input_tokens) == (1, 5)
    with pytest.raises(TemporaryError, match="demo"):
        await provider.complete(prompt(said("1")))
    with pytest.raises(PermanentError, match="demo"):
        await provider.complete(prompt(said("1"), said("2")))
    with pytest.raises(TemporaryError, match="slower"):
        await provider.complete(prompt(said("1"), said("2"), said("3"), timeout=0.01))
    for turns in (4, 9):
        last = await provider.complete(prompt(*(said(str(n)) for n in range(turns))))
        assert (last.stop, last.message.calls[0].arguments) == ("result", {"decision": "pass"})


@pytest.mark.parametrize("text", ["", "a: [", "replies: []", "replies: [{txt: a}]", "\x00"])
def test_a_broken_script_is_refused_with_its_name(text: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(PermanentError, match=r"s\.yaml"):
        Script.read(tmp_path / "s.yaml")


# -- recordings -----------------------------------------------------------------------------------


async def test_what_was_recorded_is_replayed_without_the_provider(
    scripts: Path, tmp_path: Path
) -> None:
    known = providers(model_scripts=scripts, model_recordings=tmp_path / "recordings")
    recording: Provider = known.provider_for("record:friday:scripted:demo")
    assert isinstance(recording, RecordingProvider)
    reply = await recording.complete(prompt())
    replay = known.provider_for("replay:friday")
    assert isinstance(replay, ReplayProvider)
    assert await replay.complete(prompt(timeout=99.0)) == reply


@pytest.mark.parametrize(
    "changes",
    [{"force_result": True}, {"max_output_tokens": 11}, {"conversation": Conversation(system="x")}],
)
async def test_another_question_was_not_recorded(
    changes: dict[str, Any], scripts: Path, tmp_path: Path
) -> None:
    inner = ScriptedProvider(Script.read(scripts / "demo.yaml"))
    await RecordingProvider(inner, tmp_path / "r").complete(prompt())
    with pytest.raises(PermanentError, match="record again"):
        await ReplayProvider(tmp_path / "r").complete(prompt(**changes))


async def test_a_damaged_recording_is_refused(scripts: Path, tmp_path: Path) -> None:
    inner = ScriptedProvider(Script.read(scripts / "demo.yaml"))
    await RecordingProvider(inner, tmp_path / "r").complete(prompt())
    (file,) = (tmp_path / "r").iterdir()
    file.write_text("{", encoding="utf-8")
    with pytest.raises(PermanentError, match="damaged"):
        await ReplayProvider(tmp_path / "r").complete(prompt())


# -- prices ---------------------------------------------------------------------------------------

USED = Usage(
    calls=1, input_tokens=1000, cached_tokens=400, cache_write_tokens=100, output_tokens=200
)


def test_the_shipped_table_knows_no_price_and_says_so() -> None:
    assert PriceTable.read().price == ()
    assert PriceTable.read().cost("anthropic:claude-x", USED) is None


def test_the_first_price_that_fits_counts_for_each_kind_of_token() -> None:
    table = PriceTable(
        price=(
            Price(model="anthropic:a-*", input=10, output=100, cached_input=1, cache_write=20),
            Price(model="anthropic:*", input=10, output=100),
            Price(model="ollama:*", input=0, output=0),
        )
    )
    assert table.cost("anthropic:a-1", USED) == pytest.approx(
        (500 * 10 + 400 * 1 + 100 * 20 + 200 * 100) / 1e6
    )
    assert table.cost("anthropic:b", USED) == pytest.approx((1000 * 10 + 200 * 100) / 1e6)
    assert table.cost("ollama:b", USED) == 0
    assert table.cost("openai:b", USED) is None


def test_the_example_in_the_shipped_table_is_one(tmp_path: Path) -> None:
    example = [
        line.removeprefix("# ")
        for line in SHIPPED.read_text(encoding="utf-8").splitlines()
        if line.startswith("# [[") or " = " in line
    ]
    path = tmp_path / "prices.toml"
    path.write_text("\n".join(example), encoding="utf-8")
    assert [price.model for price in PriceTable.read(path).price] == [
        "anthropic:some-model-*",
        "ollama:*",
    ]


@pytest.mark.parametrize(
    "text", ["[[price]]", "price = 3", "a =", "[[price]]\nmodel='a'\ninput=-1"]
)
def test_a_broken_price_table_is_refused_with_its_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PermanentError, match=r"prices\.toml"):
        PriceTable.read(path)

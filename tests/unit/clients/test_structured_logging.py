import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from temporalio import activity
from temporalio.testing import ActivityEnvironment

from pilothouse.clients.logging import configure_logging

CANARY = "canary-4f9b1c"


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def configured(**options: Any) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(stream=stream, secrets=[CANARY], **options)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_both_kinds_of_loggers_end_in_the_same_lines() -> None:
    stream = configured()
    structlog.get_logger("ours").info("bridge.sent", events=3)
    logging.getLogger("theirs").warning("disk at %d %%", 90)
    ours, theirs = lines(stream)
    assert (ours["event"], ours["events"], ours["level"]) == ("bridge.sent", 3, "info")
    assert (theirs["event"], theirs["logger"], theirs["level"]) == (
        "disk at 90 %",
        "theirs",
        "warning",
    )
    assert ours["timestamp"].endswith("Z")


def test_what_is_bound_is_in_every_line() -> None:
    stream = configured()
    with structlog.contextvars.bound_contextvars(commit="abc123"):
        logging.getLogger("theirs").info("hello")
    assert lines(stream)[0]["commit"] == "abc123"


async def test_a_line_of_an_activity_says_whose_it_is() -> None:
    stream = configured()

    @activity.defn
    async def deploy() -> None:
        structlog.get_logger().info("applied")

    environment = ActivityEnvironment()
    await environment.run(deploy)
    (line,) = lines(stream)
    assert line["workflow_id"] == environment.info.workflow_id
    assert line["run_id"] == environment.info.workflow_run_id
    assert line["activity_type"] == environment.info.activity_type


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_known_secret_is_in_no_line_wherever_it_stands(json_lines: bool) -> None:
    stream = configured(json=json_lines)
    log = structlog.get_logger()
    log.info(f"event {CANARY}")
    log.info("nested", data={"list": [{"deep": CANARY}], CANARY: 1})
    log.info("object", error=ValueError(CANARY), raw=CANARY.encode(), items={CANARY})
    logging.getLogger("theirs").info("args %s", CANARY)
    try:
        raise ValueError(CANARY)
    except ValueError:
        log.exception("failed")
        logging.getLogger("theirs").exception("failed")
    assert "failed" in stream.getvalue()
    assert CANARY not in stream.getvalue()


@pytest.mark.parametrize(
    "key",
    ["password", "webhook_secret", "API-Key", "Authorization", "private_key", "kubeconfig"],
)
def test_a_field_that_sounds_secret_is_hidden(key: str) -> None:
    stream = configured()
    structlog.get_logger().info("x", **{key: "unknown-value"}, nested={key: ["unknown-value"]})
    assert "unknown-value" not in stream.getvalue()
    assert lines(stream)[0][key] == "[redacted]"


@pytest.mark.parametrize(
    "text",
    ["https://me:hidden-1234@host/x", "Authorization: Bearer hidden-1234", "basic hidden-1234=="],
)
def test_credentials_in_text_are_hidden(text: str) -> None:
    stream = configured()
    structlog.get_logger().info("x", text=text)
    assert "hidden-1234" not in stream.getvalue()
    assert "<REDACTED:" in stream.getvalue()


def test_innocent_fields_stay() -> None:
    stream = configured()
    structlog.get_logger().info("x", tokens=1200, url="https://host/x", attempt=2, ok=True)
    line = lines(stream)[0]
    assert (line["tokens"], line["url"], line["ok"]) == (1200, "https://host/x", True)


@pytest.mark.parametrize("json_lines", [True, False])
def test_untrusted_text_cannot_draw_on_a_terminal_or_forge_a_line(json_lines: bool) -> None:
    stream = configured(json=json_lines)
    structlog.get_logger().info("x", text="\x1b[2J\u202eabc\r\nforged level=error")
    assert len(stream.getvalue().splitlines()) == 1
    assert not {"\x1b", "\u202e"} & set(stream.getvalue())


def test_lower_levels_are_left_out() -> None:
    stream = configured(level="warning")
    structlog.get_logger().info("no")
    logging.getLogger("theirs").info("no")
    structlog.get_logger().warning("yes")
    assert [line["event"] for line in lines(stream)] == ["yes"]


def test_a_client_library_never_logs_the_bodies_it_reads() -> None:
    stream = configured(level="debug")
    logging.getLogger("kubernetes.client.rest").debug("response body: a Secret")
    structlog.get_logger().debug("ours")
    assert [line["event"] for line in lines(stream)] == ["ours"]


def test_configuring_twice_writes_each_line_once() -> None:
    configured()
    stream = configured()
    structlog.get_logger().info("once")
    assert len(lines(stream)) == 1


def test_an_unknown_level_says_which_there_are() -> None:
    with pytest.raises(ValueError, match="use debug, info, warning or error"):
        configure_logging("loud")


def test_what_the_mcp_sdk_could_not_parse_is_in_no_line() -> None:
    stream = configured()
    logging.getLogger("mcp.client.stdio").error("cannot parse %s", "untrusted text")
    assert stream.getvalue() == ""

"""Credentials in many kinds of place, and a whole run: none of them gets anywhere.

The content store may hold them, as Git does: it is what redaction reads from.
"""

import io
import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from typing import Final
from uuid import uuid4

import pytest
import yaml
from temporalio.client import Client

from pilothouse.clients.logging import configure_logging
from pilothouse.gitops.agents.toolset import AdvertisedTool
from pilothouse.models.health import Evidence
from tests.adversary.hostile import AGENTS, Hostile, example, hostile
from tests.adversary.whole_runs import Left, play_out
from tests.adversary.words import CANARY, KNOWN
from tests.workflow.voices import answer, calling
from tests.workflow.world import dev_server, revision, working


def _planted(place: str) -> str:
    return f"{CANARY}0{place}0{'x7Q' * 4}"


PLACES: Final = {
    place: _planted(place)
    for place in (
        *("SecretData", "SecretString", "Environment", "ConfigMap", "Annotation", "Argument"),
        *("LogLine", "EventMessage", "TestOutput", "CommitMessage", "ValuesFile", "FileComment"),
        *("ToolDescription", "ToolResult", "PromptFile", "Runbook", "Blocked"),
    )
}
ENCODED: Final = b64encode(PLACES["SecretData"].encode()).decode()
SOUGHT: Final = {**PLACES, "of the worker": KNOWN, "Base64": ENCODED, "any part": CANARY}


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    async with dev_server() as connected:
        yield connected


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged, by us and by libraries, as a worker logs it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging("debug", secrets=(KNOWN,), stream=stream)
    yield stream
    root.handlers = handlers
    root.setLevel(level)


def repository(*, broken: bool) -> dict[str, str]:
    """The example, with a credential in everything that a team writes."""
    files = example({}, production=False)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db"},
        "data": {"key": ENCODED},
        "stringData": {"plain": PLACES["SecretString"]},
    }
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "injected",
            "annotations": {"backup.example/token": PLACES["Annotation"]},
        },
        "data": {"app.properties": f"db.password={PLACES['ConfigMap']}\nmode=fast\n"},
    }
    (deployment,) = yaml.safe_load_all(
        files["manifests/deployment.yaml"].replace("{{replicas}}", "2")
    )
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "DB_PASSWORD", "value": PLACES["Environment"]}]
    container["args"] += ["--token", PLACES["Argument"]]
    if broken:
        container["image"] = f"registry.example.com/a b?password={PLACES['Blocked']}"
        container["replicas"] = f"token={PLACES['Blocked']}"
    return {
        **files,
        "manifests/secret.yaml": yaml.safe_dump(secret),
        "manifests/injected.yaml": f"# password: {PLACES['FileComment']}\n{yaml.safe_dump(config)}",
        "manifests/deployment.yaml": yaml.safe_dump(deployment),
        "configs/more.yaml": f"mirror: https://bot:{PLACES['ValuesFile']}@git.example.org/a.git\n",
        "output.txt": f"API_TOKEN={PLACES['TestOutput']}\nok\n",
        "agents/validator.md": f"Log in with password: {PLACES['PromptFile']}\n",
        "docs/runbook.md": f"The token is: `export TOKEN={PLACES['Runbook']}`\n",
    }


def world(*, broken: bool) -> Hostile:
    """Everything has a credential in it; the models repeat what the worker holds."""
    made = hostile(
        f"http://localhost:1/{uuid4().hex[:12]}.git",
        files=repository(broken=broken),
        subject=f"mirror from https://bot:{PLACES['CommitMessage']}@git.example.org/a.git",
        cluster_says=(
            Evidence(kind="log", source="Pod/app/x", text=f"password={PLACES['LogLine']} refused"),
            Evidence(kind="event", source="Pod/app/x", text=f"token: {PLACES['EventMessage']}"),
        ),
    )
    voices = made.voices
    voices.secrets = (KNOWN,)
    words = f"Use api_key={PLACES['ToolDescription']} for it."
    for server, tools in (("k8s", ("look", "change", "page")), ("docs", ("search",))):
        voices.tools[server] = tuple(
            AdvertisedTool(name=tool, description=words, input_schema={"description": words})
            for tool in tools
        )
    pods = {"env": f"a\n- name: TOKEN\n  value: {PLACES['ToolResult']}", "key": KNOWN}
    voices.answers = {"look": json.dumps(pods)}
    for agent in AGENTS:
        voices.say(
            f"scripted:{agent}",
            calling("k8s__look", text=f"what is {KNOWN}?"),
            calling("k8s__look", text="pods"),
            answer("pass", summary=f"The key is {KNOWN}, password: {PLACES['ToolResult']}"),
        )
    return made


def leaks(made: Hostile, left: Left, logs: str) -> dict[str, list[str]]:
    """Where credentials came to -> which."""
    sinks = {
        "a prompt": "\n".join(each.conversation.model_dump_json() for each in made.voices.prompts),
        "a tool's words": "\n".join(str(each.tools) for each in made.voices.prompts),
        "a server of tools": str(made.voices.called),
        "the status branch": "\n".join(
            f"{each.commit.message} {each.commit.files}" for each in made.published
        ),
        "the result": left.result.model_dump_json(),
        "the lists of the server": left.descriptions,
        "a log": logs,
        **{f"the history of {id}": history for id, history in left.histories.items()},
    }
    found = {
        sink: [place for place, secret in SOUGHT.items() if secret in text]
        for sink, text in sinks.items()
    }
    return {sink: places for sink, places in found.items() if places}


@pytest.mark.parametrize("event", ["push", "pull-1"])
@pytest.mark.parametrize("broken", [False, True], ids=["goes on", "is blocked"])
async def test_no_credential_gets_anywhere(
    event: str, broken: bool, client: Client, logged: io.StringIO
) -> None:
    made = world(broken=broken)
    async with working(client, made):
        left = await play_out(client, made, event, revision("c"))
    assert leaks(made, left, logged.getvalue()) == {}
    assert made.voices.prompts, "no model was asked: nothing was put to the test"
    assert made.voices.called, "no tool answered"
    if event == "push" and not broken:
        assert made.applied, left.result.report
        assert "REDACTED" in str(left.result.stages[2].tests), "the test printed nothing"

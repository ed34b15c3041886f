"""Live objects out of text."""

import json

import pytest

from pilothouse.gitops.health.live_objects import read_live_objects
from pilothouse.models.errors import PermanentError

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}}
JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "two"}}


def kinds(text: str) -> list[object]:
    return [live["kind"] for live in read_live_objects(text.encode(), "it")]


@pytest.mark.parametrize(
    "text",
    [
        f"{json.dumps(POD)}\n{json.dumps(JOB)}\n",
        f"\n{json.dumps(POD, indent=2)}\n\n{json.dumps(JOB, indent=2)}",
        json.dumps([POD, JOB]),
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [POD, JOB]}),
        "apiVersion: v1\nkind: Pod\n---\n---\napiVersion: batch/v1\nkind: Job\n",
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n"
        "- {apiVersion: batch/v1, kind: Job}\n",
    ],
)
def test_every_form_holds_the_objects_in_their_order(text: str) -> None:
    assert kinds(text) == ["Pod", "Job"]


def test_items_get_from_their_list_what_the_server_left_out() -> None:
    listed = {"apiVersion": "v1", "kind": "PodList", "items": [{"metadata": {"name": "one"}}]}
    assert read_live_objects(json.dumps(listed).encode(), "it") == [POD]


def test_nothing_is_nothing() -> None:
    assert kinds("") == []
    assert kinds("---\n# only a comment\n") == []


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (f"{json.dumps(POD)}\n{{broken\n", "it:2:"),
        (f"{json.dumps(POD)}\n\n\n{json.dumps({'kind': 'Pod'})}\n", "it:4:"),
        ("apiVersion: v1\nkind: Pod\n  name: x\n", "it:3:"),
        ("apiVersion: v1\nkind: Pod\n---\njust text\n", "it:4:"),
        ('{"apiVersion": "v1",\n "kind": "List", "items": [1]}', "it:1:"),
        ("[" * 100_000, "it:1:"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, where: str) -> None:
    with pytest.raises(PermanentError) as caught:
        read_live_objects(text.encode(), "it")
    assert caught.value.type == "InvalidRequest"
    assert str(caught.value).startswith(where)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(PermanentError, match="it:2: is not UTF-8"):
        read_live_objects(b"kind: Pod\nname: \xff\n", "it")

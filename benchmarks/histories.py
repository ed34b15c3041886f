"""What the histories of a run's workflows say: where its time went, and how large they became."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHistory


async def phases(client: Client, workflow_ids: Sequence[str]) -> list[dict[str, object]]:
    """Every activity in the order of its start.

    Returns:
        `at_s`: since the first workflow's start; `queued_s`: until a worker took it; `run_s`: from
        there to its end. What is between two activities is workflow code and Temporal itself.
    """
    histories = [await _history(client, each) for each in workflow_ids]
    start = histories[0].events[0].event_time
    found = [line for history in histories for line in _activities(history, _moment(start))]
    ends = [
        {"at_s": _since(start, history.events[-1].event_time), "end of": history.workflow_id}
        for history in histories
    ]
    return sorted([*found, *ends], key=lambda line: float(str(line["at_s"])))


async def history_bytes(client: Client, workflow_ids: Sequence[str]) -> dict[str, int]:
    """How large the histories of the workflows became, and their largest payload."""
    histories = [await _history(client, each) for each in workflow_ids]
    sizes = [size for history in histories for size in _payload_sizes(history.to_json_dict())]
    return {
        "history_bytes": sum(event.ByteSize() for each in histories for event in each.events),
        "largest_payload_bytes": max(sizes, default=0),
    }


async def _history(client: Client, workflow_id: str) -> WorkflowHistory:
    return await client.get_workflow_handle(workflow_id).fetch_history()


def _activities(history: WorkflowHistory, start: datetime) -> Iterator[dict[str, object]]:
    scheduled: dict[int, tuple[str, datetime]] = {}
    started: dict[int, datetime] = {}
    for event in history.events:
        when = _moment(event.event_time)
        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                name = event.activity_task_scheduled_event_attributes.activity_type.name
                scheduled[event.event_id] = name, when
            case EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                started[event.activity_task_started_event_attributes.scheduled_event_id] = when
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                number = event.activity_task_completed_event_attributes.scheduled_event_id
                name, asked = scheduled[number]
                yield {
                    "at_s": round((asked - start).total_seconds(), 2),
                    "activity": name,
                    "queued_s": round((started[number] - asked).total_seconds(), 2),
                    "run_s": round((when - started[number]).total_seconds(), 2),
                }


def _moment(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime()


def _since(start: Timestamp, end: Timestamp) -> float:
    return round((_moment(end) - _moment(start)).total_seconds(), 2)


def _payload_sizes(value: object) -> Iterator[int]:
    """Bytes of every payload in a history's JSON."""
    if isinstance(value, dict):
        data = value.get("data")
        if "metadata" in value and isinstance(data, str):
            yield len(data) * 3 // 4
        for item in value.values():
            yield from _payload_sizes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _payload_sizes(item)

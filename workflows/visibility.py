"""What a workflow tells the lists of the Web UI, and what a failure says to people."""

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError

with workflow.unsafe.imports_passed_through():
    from pilothouse.models import names

_KEYS = {name: SearchAttributeKey.for_keyword(name) for name in names.SEARCH_ATTRIBUTES}


def publish(**attributes: str) -> None:
    """Upsert search attributes: `repository=`, `environment=`, `revision=`, `phase=`, `outcome=`.

    Each call is one event of history, so phases are few.
    """
    workflow.upsert_search_attributes([
        _KEYS[f"Pilothouse{name.capitalize()}"].value_set(text) for name, text in attributes.items()
    ])


def started_by_us() -> bool:
    """Whether another workflow of ours started this one; nobody can claim that from outside.

    What skips an approval or brings its own lock may come from a parent only.
    """
    return workflow.info().parent is not None


def reason(error: BaseException) -> str:
    """The innermost message of a failure: what a person must read."""
    cause = error.cause if isinstance(error, ActivityError | ChildWorkflowError) else None
    while isinstance(cause, ActivityError | ChildWorkflowError):
        cause = cause.cause
    if isinstance(cause, ApplicationError):
        return cause.message
    return str(cause or error)


def error_type(error: BaseException) -> str:
    """The wire type of a failure's cause; empty if it has none."""
    cause = error.cause if isinstance(error, ActivityError | ChildWorkflowError) else None
    return (cause.type or "") if isinstance(cause, ApplicationError) else ""

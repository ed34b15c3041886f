"""How payloads become models, and what happens to a request that is none."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter, pydantic_data_converter
from temporalio.exceptions import ApplicationError

from pilothouse.models.base import explain
from pilothouse.models.environment import EnvironmentRequest
from pilothouse.models.runs import (
    DeploymentRequest,
    MonitorRequest,
    PipelineRequest,
    RepositoryRequest,
    RollbackRequest,
)

TYPED_BY_PEOPLE = frozenset({
    DeploymentRequest,
    EnvironmentRequest,
    MonitorRequest,
    PipelineRequest,
    RepositoryRequest,
    RollbackRequest,
})
"""What starts a workflow. Everything else is our own: if it cannot be read, a worker is out of
date, and the workflow waits for a better one instead of failing."""


class RequestConverter(PydanticPayloadConverter):
    """A request that cannot be read fails its workflow at once, with what is wrong with it.

    By default the workflow's first task would fail again and again, and nobody would be told.
    """

    def from_payloads(
        self, payloads: Sequence[Payload], type_hints: list[type] | None = None
    ) -> list[Any]:
        """As the base class does.

        Raises:
            ApplicationError: `InvalidRequest`, final; the message never echoes a value.
        """
        try:
            return super().from_payloads(payloads, type_hints)
        except ValidationError as error:
            asked = TYPED_BY_PEOPLE.intersection(type_hints or ())
            if not asked:
                raise
            raise ApplicationError(
                f"{next(iter(asked)).__name__}: {explain(error)}",
                type="InvalidRequest",
                non_retryable=True,
            ) from None


DATA_CONVERTER = replace(pydantic_data_converter, payload_converter_class=RequestConverter)
"""Worker, bridge, command line and tests use this one."""

"""The two kinds of contract, and one that never refuses."""

from typing import Any, Self, cast

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler


class Contract(BaseModel):
    """A frozen payload between our own parts.

    Unknown fields are ignored, so that an old worker can read what a newer one wrote.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class Declaration(BaseModel):
    """A frozen document that a person wrote: unknown fields are errors, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def explain(error: ValidationError) -> str:
    """Say in one line what is wrong with a document; never echoes the rejected value."""
    parts = []
    for detail in error.errors(include_input=False, include_url=False, include_context=False):
        where = ".".join(str(step) for step in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {message}" if where else message)
    return "; ".join(parts)


class Claim(Contract):
    """What somebody outside says in a signal or update.

    It always decodes: the server cannot tell the sender of a signal that it was nonsense, so
    nonsense must reach the workflow, which says so where people look. What was wrong is in
    `problem`; every field then has its default. Subclasses therefore give each field a default.
    """

    problem: str = ""
    """Why the claim was not understood; empty if it was. Set here only, never by the sender."""

    @model_validator(mode="wrap")
    @classmethod
    def _never_refused(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(value, cls):
            return handler(value)
        if not isinstance(value, dict):
            problem = f"expected a JSON object, got {_json_type(value)}"
            return cast(Self, cls.model_construct(problem=problem))
        try:
            return handler({key: item for key, item in value.items() if key != "problem"})
        except ValidationError as error:
            return cast(Self, cls.model_construct(problem=explain(error)))


def _json_type(value: object) -> str:
    names = {str: "a string", bool: "a boolean", type(None): "null", list: "a list"}
    return names.get(type(value), "a number")

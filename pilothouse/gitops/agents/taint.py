"""After an untrusted read an agent can only read: the set of what it may call never grows."""

from collections.abc import Iterable

from pilothouse.models.tools import Material, ToolClass, ToolSpec

_READ: frozenset[ToolClass] = frozenset({"read"})
_ALL: frozenset[ToolClass] = frozenset({"read", "write", "external"})


def is_tainted(shown: Iterable[Material]) -> bool:
    """Whether untrusted bytes are among what an agent was shown. More material never untaints."""
    return any(material.untrusted for material in shown)


def callable_kinds(*, read_only: bool, tainted: bool) -> frozenset[ToolClass]:
    """What an agent may call now."""
    return _READ if read_only or tainted else _ALL


def admit(
    name: str, tools: Iterable[ToolSpec], *, read_only: bool, tainted: bool
) -> tuple[ToolSpec | None, str]:
    """The tool that a model's call means, or why it may not be run.

    Args:
        name: as the model wrote it; it is only compared.
        tools: what the agent has.
        read_only: the run may only read.
        tainted: the agent has read untrusted bytes, this turn's earlier calls included.

    Returns:
        The tool and an empty text, or None and words for the model.
    """
    spec = next((tool for tool in tools if tool.name == name), None)
    if spec is None:
        return None, "there is no such tool; use the ones that you were given"
    if spec.kind not in callable_kinds(read_only=read_only, tainted=tainted):
        why = "this run may only read" if read_only else "you have read text from outside"
        return None, f"{spec.name} changes something ({spec.kind}), which is over: {why}"
    return spec, ""

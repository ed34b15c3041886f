"""What an object's own annotations say about how it is applied and deleted.

Our annotations decide. Those of Flux, Argo CD and Helm count where they mean the same, so that
manifests that people bring keep their meaning; docs/reference/applying.md has the table.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeVar

from pilothouse.models.names import (
    ANNOTATION_APPLY,
    ANNOTATION_ARGOCD_WAVE,
    ANNOTATION_CONFLICTS,
    ANNOTATION_PRUNE,
    ANNOTATION_RECREATE,
    ANNOTATION_WAVE,
)

_FLUX: Final = "kustomize.toolkit.fluxcd.io/"
_ALLOWED: Final[Mapping[str, tuple[str, ...]]] = {
    ANNOTATION_APPLY: ("always", "if-absent", "disabled"),
    ANNOTATION_PRUNE: ("enabled", "disabled"),
    ANNOTATION_RECREATE: ("allowed", "never"),
    ANNOTATION_CONFLICTS: ("refuse", "force"),
}
_MAX_WAVE: Final = 10_000

Default = TypeVar("Default")


class OptOuts(NamedTuple):
    """How one object wants to be treated."""

    apply: Literal["always", "if-absent", "disabled"] = "always"
    prune: bool = True
    recreate: bool | None = None
    """None: as the environment says."""
    force: bool | None = None
    """Whether fields may be taken from other managers; None: as the environment says."""


class Unknown(NamedTuple):
    """An annotation of ours with a value that means nothing."""

    annotation: str
    value: str
    allowed: str
    """The values that mean something, for people."""


def opt_outs(body: object) -> OptOuts:
    """Read an object's annotations; an unknown value reads as the default: see `unknown_values`."""
    notes = _annotations(body)
    ours = {key: notes.get(key, "") for key in _ALLOWED}
    return OptOuts(
        apply=_apply(ours[ANNOTATION_APPLY], notes),
        prune=_says(ours[ANNOTATION_PRUNE], "enabled", "disabled", not _keeps(notes)),
        recreate=_says(
            ours[ANNOTATION_RECREATE],
            "allowed",
            "never",
            True if notes.get(_FLUX + "force", "").lower() == "enabled" else None,
        ),
        force=_says(ours[ANNOTATION_CONFLICTS], "force", "refuse", None),
    )


def unknown_values(body: object) -> tuple[Unknown, ...]:
    """Every annotation of ours whose value we do not know; a typo must not become a default."""
    notes = _annotations(body)
    found = [
        Unknown(key, notes[key], ", ".join(allowed))
        for key, allowed in _ALLOWED.items()
        if key in notes and notes[key] not in allowed
    ]
    wave = notes.get(ANNOTATION_WAVE)
    if wave is not None and _number(wave) is None:
        found.append(Unknown(ANNOTATION_WAVE, wave, f"a whole number up to {_MAX_WAVE}"))
    return tuple(found)


def wave_of(body: object) -> int:
    """The wave of an object: ours, else Argo CD's, else 0."""
    notes = _annotations(body)
    for key in (ANNOTATION_WAVE, ANNOTATION_ARGOCD_WAVE):
        wave = _number(notes.get(key, ""))
        if wave is not None:
            return wave
    return 0


def _apply(ours: str, notes: Mapping[str, str]) -> Literal["always", "if-absent", "disabled"]:
    match ours:
        case "always" | "if-absent" | "disabled":
            return ours
    ssa = notes.get(_FLUX + "ssa", "").lower()
    if ssa == "ignore" or notes.get(_FLUX + "reconcile", "").lower() == "disabled":
        return "disabled"
    return "if-absent" if ssa == "ifnotpresent" else "always"


def _keeps(notes: Mapping[str, str]) -> bool:
    """Whether another tool's annotation says that the object outlives its manifest."""
    options = notes.get("argocd.argoproj.io/sync-options", "").split(",")
    return (
        notes.get(_FLUX + "prune", "").lower() == "disabled"
        or any(option.strip().lower() in _ARGOCD_KEEPS for option in options)
        or notes.get("helm.sh/resource-policy", "").strip().lower() == "keep"
    )


_ARGOCD_KEEPS: Final = frozenset({"prune=false", "prune=confirm"})


def _says(value: str, yes: str, no: str, otherwise: Default) -> bool | Default:
    return value == yes if value in {yes, no} else otherwise


def _number(value: str) -> int | None:
    digits = value.strip().removeprefix("-").removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= len(str(_MAX_WAVE))):
        return None
    number = -int(digits) if value.strip().startswith("-") else int(digits)
    return number if abs(number) <= _MAX_WAVE else None


def _annotations(body: object) -> dict[str, str]:
    match body:
        case {"metadata": {"annotations": dict(notes)}}:
            return {
                key: note if isinstance(note, str) else str(note) for key, note in notes.items()
            }
        case _:
            return {}

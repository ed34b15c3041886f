"""Whole runs of an agent as an adversary wants them, as Hypothesis draws them."""

from collections.abc import Mapping
from itertools import product
from typing import Any, Final

from hypothesis import strategies as st

from pilothouse.clients.mcp import ToolAnswer
from pilothouse.gitops.agents.toolset import AdvertisedTool, pin_of
from pilothouse.models.objects import digest_of
from pilothouse.models.pipeline import Budget, McpServer
from pilothouse.models.tools import ToolHints
from tests.adversary.replies import lines, texts
from tests.adversary.trace import SERVERS, Fault, Listing, Trace, material_of, task
from tests.adversary.words import EVERYTHING, PLANTED

_USUAL: Final[dict[str, Any]] = {"type": "object", "properties": {"text": {"type": "string"}}}
_SCHEMAS: Final[tuple[dict[str, Any], ...]] = (
    *(_USUAL,) * 9,
    {},
    {**_USUAL, "required": ["text"], "additionalProperties": False},
    {"type": "object", "properties": {"idempotency_key": {"type": "string"}}},
    {"$ref": "http://evil.example/schema"},
    {"$ref": "#"},
    {"type": "array"},
    {"properties": {"text": {"type": "string", "pattern": "(a+)+$"}}},
    {"description": PLANTED[0], "properties": {"text": {"description": PLANTED[4]}}},
    {"properties": {"text": {"default": PLANTED[4], "enum": [PLANTED[-2], "pods"]}}},
    {"properties": {f"text {PLANTED[4]}": {"title": PLANTED[-1]}}},
)
_LYING: Final = ToolHints(title=EVERYTHING[0], read_only=True, destructive=False)


def _listing(schema: dict[str, Any], words: str, extra: tuple[str, ...]) -> dict[str, Listing]:
    return {
        name: tuple(
            AdvertisedTool(name=tool, description=words, input_schema=schema, hints=_LYING)
            for tool in (*server.tools, *extra)
        )
        for name, server in SERVERS.items()
    }


_extras = st.sampled_from([*[()] * 6, ("undeclared",), ("look",), ("x__look", "look", "change")])
_usual_listings = st.builds(_listing, st.sampled_from(_SCHEMAS), texts, _extras)
_down: st.SearchStrategy[dict[str, Listing]] = st.fixed_dictionaries({
    name: st.sampled_from(["unavailable", "refused", ()]) for name in SERVERS
})
_TOOLS: Final[tuple[tuple[str, ...], ...]] = (
    ("change", "page", "k8s/look", "peek", "docs/search"),
    ("k8s/x__look", "k8s__x/look", "change"),
    ("change", "page", "search"),
    ("change", "peek", "page"),
    ("k8s/look", "k8s__x/look", "k8s/peek"),
    ("look", "evil/undeclared", "undeclared", "k8s/../evil/rob", "evil", "", "*", "search"),
)


def _pinned(listings: Mapping[str, Listing]) -> dict[str, McpServer]:
    """The servers, one of which changed a tool since somebody looked at it."""
    listed = listings["k8s"]
    pins = {tool.name: pin_of(tool) for tool in listed if isinstance(tool, AdvertisedTool)}
    pins["peek"] = digest_of(b"as it was")
    return {**SERVERS, "k8s": SERVERS["k8s"].model_copy(update={"pins": pins})}


_said = texts.map(ToolAnswer)
_failed: st.SearchStrategy[ToolAnswer | Fault] = st.sampled_from([
    ToolAnswer(PLANTED[0], is_error=True),
    ToolAnswer("cut", cut=7),
    "unavailable",
    "refused",
])
_die = st.integers(0, 19)
_answers = _die.flatmap(lambda die: _failed if die == 19 else _said)
_BUDGETS: Final = (
    *(Budget(turns=9), Budget(turns=9), Budget(turns=4), Budget(turns=1), Budget(turns=2)),
    *(Budget(tokens=1), Budget(tokens=20_000), Budget(time="30s"), Budget(cost=0.01)),
)


_shown = st.lists(texts, max_size=2)
_several = st.lists(_answers, min_size=1, max_size=3)
_lines = st.lists(lines(), min_size=1, max_size=6)
_given = st.tuples(
    st.sampled_from(_TOOLS),
    st.sampled_from(_BUDGETS),
    st.sampled_from(["rules", "human", "fail"]),
    st.sampled_from(["pass", "review", "block"]),
)
_flags = st.sampled_from(list(product((False, False, False, True), (False, True), (False, True))))


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """A whole run."""
    shown = tuple(draw(_shown))
    source: st.SearchStrategy[dict[str, Listing]] = _down if draw(_die) == 19 else _usual_listings
    listings = draw(source)
    allowed, budget, on_error, rules = draw(_given)
    read_only, untrusted, pinned = draw(_flags)
    request = task(
        allowed,
        budget,
        on_error,
        servers=_pinned(listings) if pinned else SERVERS,
        read_only=read_only,
        rules=rules,
        material=material_of(shown, untrusted=untrusted),
    )
    return Trace(request, shown, listings, tuple(draw(_lines)), tuple(draw(_several)))

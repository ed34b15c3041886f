"""Where two forms of one object differ, and what stands there.

The values are raw: `masking` makes of a difference what may leave this package.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Final, Literal, NamedTuple

from pydantic import JsonValue

from pilothouse.gitops.manifests.places import escape
from pilothouse.gitops.plan.identity import Identity, identities, label
from pilothouse.gitops.plan.normal import normal, ref_of
from pilothouse.gitops.plan.pointers import Pattern, below, is_met, patterns_for, without
from pilothouse.models.objects import canonical_json
from pilothouse.models.pipeline import IgnoreRule

_MOST_CELLS: Final = 250_000
"""Lists whose lengths multiply to more are compared by place: aligning them costs as much."""

_PLAIN_KEY: Final = re.compile(r"[\w-]+")
"""A key that needs no brackets in a title."""

Same = Callable[[str, JsonValue, JsonValue], bool]
"""Whether two values that are written differently mean the same at a pointer."""


class Difference(NamedTuple):
    """One place at which two forms of an object differ."""

    path: str
    """JSON pointer; a place in a list counts in the wanted form, and in the live one for what is
    gone from it."""
    title: str
    """The same as people write it, with list items by name: `spec.containers[api].image`."""
    kind: Literal["add", "remove", "replace"]
    before: JsonValue
    after: JsonValue
    owner: str = ""
    """Names of the map that it stands in, as they were and will be: `PASSWORD` of a variable."""


class _Place(NamedTuple):
    """Where the walk is."""

    ignored: tuple[Pattern, ...]
    same: Same
    path: str = ""
    title: str = ""
    owner: str = ""

    def key(self, key: str, owner: str) -> "_Place":
        plain = _PLAIN_KEY.fullmatch(key)
        title = f"{self.title}{'.' if self.title else ''}{key}" if plain else f"{self.title}[{key}]"
        return self._down(key, title, owner)

    def item(self, index: int, item: JsonValue) -> "_Place":
        return self._down(str(index), f"{self.title}[{label(item) or index}]", "")

    def _down(self, step: str, title: str, owner: str) -> "_Place":
        path = f"{self.path}/{escape(step)}"
        return _Place(below(self.ignored, step), self.same, path, title, owner)

    def differs(
        self, kind: Literal["add", "remove", "replace"], before: JsonValue, after: JsonValue
    ) -> Iterator[Difference]:
        """The difference at this place, without what is ignored below it; nothing if that is it."""
        old, new = without(before, self.ignored), without(after, self.ignored)
        emptied = (old, new) != (before, after) and not old and not new
        if not emptied and (kind != "replace" or not _is_one(old, new)):
            yield Difference(self.path, self.title, kind, old, new, self.owner)


def changed_fields(
    live: Mapping[str, JsonValue],
    wanted: Mapping[str, JsonValue],
    ignore: Sequence[IgnoreRule] = (),
) -> list[str]:
    """List the JSON pointers at which two forms of one object differ.

    `status`, what the server writes into `metadata`, and client-side apply's annotation are left
    out, and so is what a rule leaves to others. Lists are aligned: by name where their items have
    one, else by content.

    Returns:
        Pointers in the order of `wanted`, each the deepest place of its difference.
    """
    return list(dict.fromkeys(found.path for found in differences(live, wanted, ignore)))


def differences(
    live: Mapping[str, JsonValue],
    wanted: Mapping[str, JsonValue],
    ignore: Sequence[IgnoreRule] = (),
    same: Same | None = None,
) -> Iterator[Difference]:
    """The differences of two forms of one object, with their values, in the order of `wanted`.

    Removing the removed items of a list from its end on, putting the added ones at their places
    and then setting what is replaced makes `wanted` of `live`.

    Args:
        live: the object as it is.
        wanted: the object as it shall be.
        ignore: rules of the environment; those that fit `wanted` are kept to.
        same: a wider notion of equality, for two forms that no server has brought into one.
    """
    patterns = patterns_for(ref_of(wanted), ignore)
    place = _Place(patterns, same or _never)
    yield from _differences(place, normal(live), normal(wanted))


def of_values(title: str, before: JsonValue, after: JsonValue) -> Iterator[Difference]:
    """The differences of two values alone, titled from `title` on."""
    return _differences(_Place((), _never, title=title), before, after)


def _never(path: str, live: JsonValue, wanted: JsonValue) -> bool:
    return False


def _differences(place: _Place, live: JsonValue, wanted: JsonValue) -> Iterator[Difference]:
    if is_met(place.ignored):
        return
    if isinstance(live, dict) and isinstance(wanted, dict):
        yield from _in_maps(place, live, wanted)
    elif isinstance(live, list) and isinstance(wanted, list):
        yield from _in_lists(place, live, wanted)
    elif not _is_one(live, wanted) and not place.same(place.path, live, wanted):
        yield from place.differs("replace", live, wanted)


def _is_one(live: JsonValue, wanted: JsonValue) -> bool:
    """In Python `1 == True`; in JSON they are different things."""
    if isinstance(live, dict | list) or isinstance(wanted, dict | list):
        return canonical_json(live) == canonical_json(wanted)
    return live == wanted and isinstance(live, bool) == isinstance(wanted, bool)


def _in_maps(
    place: _Place, live: dict[str, JsonValue], wanted: dict[str, JsonValue]
) -> Iterator[Difference]:
    owner = " ".join(str(form["name"]) for form in (live, wanted) if "name" in form)
    for key in [*wanted, *(key for key in live if key not in wanted)]:
        old, new = live.get(key), wanted.get(key)
        if type(old) is type(new) is str and old == new:
            continue  # most of any object: not worth a place
        inner = place.key(key, owner)
        if key in live and key in wanted:
            yield from _differences(inner, old, new)
        else:
            yield from _one_sided(inner, old, new, added=key in wanted)


def _one_sided(
    place: _Place, live: JsonValue, wanted: JsonValue, *, added: bool
) -> Iterator[Difference]:
    if not is_met(place.ignored):
        yield from place.differs("add" if added else "remove", live, wanted)


def _in_lists(
    place: _Place, live: list[JsonValue], wanted: list[JsonValue]
) -> Iterator[Difference]:
    named = identities(live, wanted)
    if named is None:
        yield from _aligned(place, live, wanted)
        return
    live_places, wanted_places = named
    if _moved(live_places, wanted_places):
        yield from place.differs("replace", live, wanted)
        return
    for identity, index in wanted_places.items():
        inner = place.item(index, wanted[index])
        if identity in live_places:
            yield from _differences(inner, live[live_places[identity]], wanted[index])
        else:
            yield from _one_sided(inner, None, wanted[index], added=True)
    for identity, index in live_places.items():
        if identity not in wanted_places:
            inner = place.item(index, live[index])
            yield from _one_sided(inner, live[index], None, added=False)


def _moved(live: dict[Identity, int], wanted: dict[Identity, int]) -> bool:
    """Whether the things that both have stand in another order."""
    return [name for name in live if name in wanted] != [name for name in wanted if name in live]


def _aligned(place: _Place, live: list[JsonValue], wanted: list[JsonValue]) -> Iterator[Difference]:
    """Items without names: those of equal content are paired, the others by place between them."""
    removed: list[Difference] = []
    for old, new in _blocks(live, wanted):
        for offset in range(max(len(old), len(new))):
            if offset < len(old) and offset < len(new):
                index = new[offset]
                inner = place.item(index, wanted[index])
                yield from _differences(inner, live[old[offset]], wanted[index])
            elif offset < len(new):
                inner = place.item(new[offset], wanted[new[offset]])
                yield from _one_sided(inner, None, wanted[new[offset]], added=True)
            else:
                inner = place.item(old[offset], live[old[offset]])
                removed += _one_sided(inner, live[old[offset]], None, added=False)
    yield from removed


def _blocks(live: list[JsonValue], wanted: list[JsonValue]) -> Iterator[tuple[range, range]]:
    """The stretches of two lists that belong together and are not equal."""
    if len(live) * len(wanted) > _MOST_CELLS:
        yield range(len(live)), range(len(wanted))
        return
    old = [canonical_json(item) for item in live]
    new = [canonical_json(item) for item in wanted]
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            yield range(i1, i2), range(j1, j2)

"""Values and the place where each part of them stands."""

from dataclasses import dataclass

from pydantic import JsonValue


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands; a tree of the same shape as the value."""

    line: int
    """1-based; of its key where it has one."""
    children: "dict[str, Place] | list[Place] | None" = None
    text: str = ""
    """How a scalar that is not text is spelled, e.g. `1.10`."""

    def find(self, pointer: str) -> "Place":
        """The place of a JSON pointer, or of the nearest part above it that exists."""
        place = self
        for token in pointer.split("/")[1:]:
            child = place.child(token.replace("~1", "/").replace("~0", "~"))
            if child is None:
                return place
            place = child
        return place

    def child(self, token: str) -> "Place | None":
        """One step down: a key, or a position in a list."""
        if isinstance(self.children, dict):
            return self.children.get(token)
        if isinstance(self.children, list) and token.isdecimal():
            index = int(token)
            return self.children[index] if index < len(self.children) else None
        return None


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document that could be read whole."""

    value: JsonValue
    place: Place


def escape(key: str) -> str:
    """A key as a JSON pointer writes it."""
    return key.replace("~", "~0").replace("/", "~1")

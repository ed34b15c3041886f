"""Families of custom resources: what their documentation says beyond the conventions.

A family is data: which objects it holds, and how their words differ from what the generic rules
would read. A family that follows the conventions needs no entry.
"""

from functools import lru_cache
from typing import Final

from pilothouse.gitops.health.families.cloud import CLOUD
from pilothouse.gitops.health.families.computing import COMPUTING
from pilothouse.gitops.health.families.data import DATA
from pilothouse.gitops.health.families.delivery import DELIVERY
from pilothouse.gitops.health.families.family import CONVENTIONAL, Family
from pilothouse.gitops.health.families.network import NETWORK

__all__ = ["CONVENTIONAL", "FAMILIES", "Family", "family_of"]

FAMILIES: Final[tuple[Family, ...]] = (*DELIVERY, *CLOUD, *NETWORK, *DATA, *COMPUTING)


@lru_cache(maxsize=1024)
def family_of(group: str, kind: str) -> Family:
    """The first family that holds a kind; the conventions alone if none does."""
    return next((one for one in FAMILIES if one.holds(group, kind)), CONVENTIONAL)

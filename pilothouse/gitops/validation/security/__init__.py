"""What makes an attack easier or worse although every object is valid.

Each module holds rules and one check. Where tools draw a line in different places, one field has
several rules, of which only the one that fits best is told; each names the tools that agree.
"""

from pilothouse.gitops.validation.practice import Check
from pilothouse.gitops.validation.rule import Rule
from pilothouse.gitops.validation.security import (
    accounts,
    confinement,
    containers,
    credentials,
    flags,
    namespaces,
    network,
    node_access,
    rbac,
)

CHECKS: tuple[Check, ...] = (
    containers.check_containers,
    confinement.check_confinement,
    node_access.check_node_access,
    accounts.check_accounts,
    credentials.check_credentials,
    rbac.check_rbac,
    network.check_network,
    namespaces.check_namespaces,
    flags.check_flags,
)
RULES: tuple[Rule, ...] = (
    *containers.RULES,
    *confinement.RULES,
    *node_access.RULES,
    *accounts.RULES,
    *credentials.RULES,
    *rbac.RULES,
    *network.RULES,
    *namespaces.RULES,
    *flags.RULES,
)

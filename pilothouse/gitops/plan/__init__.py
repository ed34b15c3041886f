"""What a revision would change: differences, what of them may be shown, risks, ignored fields."""

from pilothouse.gitops.plan.changes import OWNERSHIP, assemble, brief, describe
from pilothouse.gitops.plan.comparison import changed_fields, differences
from pilothouse.gitops.plan.ignoring import without_ignored
from pilothouse.gitops.plan.masking import MASK
from pilothouse.gitops.plan.normal import LAST_APPLIED
from pilothouse.gitops.plan.revisions import between

__all__ = [
    "LAST_APPLIED",
    "MASK",
    "OWNERSHIP",
    "assemble",
    "between",
    "brief",
    "changed_fields",
    "describe",
    "differences",
    "without_ignored",
]

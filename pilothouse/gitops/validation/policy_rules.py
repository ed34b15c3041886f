"""What can be wrong with own rules themselves."""

from typing import Final

from pilothouse.gitops.validation.rule import Rule

POLICY_INVALID: Final = Rule(
    "policy-invalid",
    "error",
    "An own rule cannot be used",
    "A rule that is skipped looks like a rule that is kept.",
    "Correct the place that the finding names.",
)
POLICY_ERROR: Final = Rule(
    "policy-error",
    "error",
    "An own rule has no answer for an object",
    "The API server refuses such an object, unless `failurePolicy` is `Ignore`.",
    "Ask for a field with `has(...)` before reading it, or set the field.",
)
POLICY_NOT_JUDGED: Final = Rule(
    "policy-not-judged",
    "info",
    "An own rule asks for something that only the cluster knows",
    "Whether it holds is seen when the object is applied, not before.",
    "Add the Namespace to the manifests, or enforce the rule in the cluster too.",
)
POLICY_PREFIX: Final = "policy/"
"""A violation's rule is this and the policy's name."""

POLICY_RULES: Final = (POLICY_INVALID, POLICY_ERROR, POLICY_NOT_JUDGED)

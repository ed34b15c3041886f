"""Typed search attributes. Imports `temporalio.common` only, so workflow code may use it too."""

from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from pilothouse.models import names

REPOSITORY = SearchAttributeKey.for_keyword(names.SEARCH_REPOSITORY)
ENVIRONMENT = SearchAttributeKey.for_keyword(names.SEARCH_ENVIRONMENT)
REVISION = SearchAttributeKey.for_keyword(names.SEARCH_REVISION)
PHASE = SearchAttributeKey.for_keyword(names.SEARCH_PHASE)
OUTCOME = SearchAttributeKey.for_keyword(names.SEARCH_OUTCOME)


def search_attributes(
    *,
    repository: str = "",
    environment: str = "",
    revision: str = "",
    phase: str = "",
    outcome: str = "",
) -> TypedSearchAttributes:
    """Build what a workflow is started with; an empty value sets nothing.

    Args:
        repository: the slug, `<host>/<path>`.
        environment: its name in the pipeline file.
        revision: the full commit id.
        phase: what the workflow is doing, one word.
        outcome: how it ended.
    """
    values = (
        (REPOSITORY, repository),
        (ENVIRONMENT, environment),
        (REVISION, revision),
        (PHASE, phase),
        (OUTCOME, outcome),
    )
    pairs = [SearchAttributePair(key, value) for key, value in values if value]
    return TypedSearchAttributes(pairs)

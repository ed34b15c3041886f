"""Ids speak, are unique, and are read back by their inverse."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.models import names

SLUGS = st.from_regex(r"[a-z0-9.]{1,12}(/[A-Za-z0-9._~-]{1,8}){1,4}", fullmatch=True)
ENVIRONMENTS = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?", fullmatch=True)
REVISIONS = st.from_regex(r"[0-9a-f]{40}", fullmatch=True)
LABEL_VALUE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


@given(SLUGS, ENVIRONMENTS, REVISIONS)
def test_a_deployment_id_is_read_back(slug: str, environment: str, revision: str) -> None:
    key = names.parse_deployment_id(names.deployment_id(slug, environment, revision))
    assert key == (slug, environment, revision)


@pytest.mark.parametrize(
    "other",
    [
        "",
        "deployment",
        "deployment/a/b",
        "rollback/h/p/staging/x",
        "deployment//a/b",
        "deployment/h/a/",
    ],
)
def test_what_is_no_deployment_id_is_refused(other: str) -> None:
    with pytest.raises(ValueError, match="is not deployment/<host>/<path>/<environment>/<commit>"):
        names.parse_deployment_id(other)


@given(st.lists(st.tuples(SLUGS, ENVIRONMENTS), min_size=2, max_size=2, unique=True))
def test_two_environments_never_share_an_id_or_an_inventory(pairs: list[tuple[str, str]]) -> None:
    first, second = pairs
    for name in (names.environment_id, names.monitor_id, names.schedule_id, names.inventory_name):
        assert name(*first) != name(*second)


@pytest.mark.parametrize("pair", [("a" * 40 + "-one", "a" * 40 + "-two"), ("a_b", "a-b")])
def test_environments_that_look_alike_have_inventories_of_their_own(pair: tuple[str, str]) -> None:
    first, second = (names.inventory_name("h/p", environment) for environment in pair)
    assert first != second


@given(SLUGS, ENVIRONMENTS)
def test_an_inventory_can_be_the_name_of_a_config_map_and_the_value_of_a_label(
    slug: str, environment: str
) -> None:
    name = names.inventory_name(slug, environment)
    assert LABEL_VALUE.fullmatch(name)
    assert name == names.inventory_name(slug, environment)


@given(SLUGS, ENVIRONMENTS, REVISIONS)
def test_every_id_begins_with_its_kind_and_names_the_repository(
    slug: str, environment: str, revision: str
) -> None:
    assert names.repository_id(slug) == f"repository/{slug}"
    assert names.pipeline_id(slug, "pull-7", revision) == f"pipeline/{slug}/pull-7/{revision}"
    assert names.rollback_id(slug, environment, "r1") == f"rollback/{slug}/{environment}/r1"
    assert names.monitor_id(slug, environment, "x") == f"monitor/{slug}/{environment}/x"
    assert names.schedule_id(slug, environment) == names.monitor_id(slug, environment)


@given(REVISIONS)
def test_people_read_twelve_digits_of_revisions_and_digests(revision: str) -> None:
    assert names.short(revision) == names.short(f"sha256:{revision}") == revision[:12]


def test_each_search_attribute_has_a_type() -> None:
    searched = [value for name, value in vars(names).items() if name.startswith("SEARCH_")]
    assert {each for each in searched if isinstance(each, str)} == set(names.SEARCH_ATTRIBUTES)

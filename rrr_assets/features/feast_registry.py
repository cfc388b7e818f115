"""Feast's registry: what applying would change, and applying it.

Belongs here: those two. Does not: what is registered (feast_objects.py), where (feast_config.py). Importing it costs what importing Feast
costs.
"""

from dataclasses import dataclass
from typing import Any, Final

from feast import FeatureStore, OnDemandFeatureView, RequestSource
from feast.diff.property_diff import TransitionType
from feast.project import Project
from feast.repo_contents import RepoContents

from rrr_assets.features.feast_config import PROJECT
from rrr_assets.features.feast_objects import INSTRUMENT, OBJECTS, SERVICES, SOURCE, VIEWS, price_now_1m

_WORDS: Final = {TransitionType.CREATE: "create", TransitionType.DELETE: "delete", TransitionType.UPDATE: "update"}


@dataclass(frozen=True, slots=True)
class Change:
    """What applying would do to one object: create, update or delete it; of an update, which properties."""

    action: str
    kind: str
    name: str
    properties: tuple[str, ...]


def plan(store: FeatureStore) -> list[Change]:
    """What `apply` would change, in the order of kinds; nothing is written."""
    registry, _, _ = store.plan(_contents())
    return [
        Change(
            _WORDS[diff.transition_type], diff.feast_object_type.value, diff.name,
            tuple(each.property_name for each in diff.feast_object_property_diffs),
        )
        for diff in registry.feast_object_diffs
        if diff.transition_type in _WORDS and not diff.name.startswith("__")
    ]  # fmt: skip


def apply(store: FeatureStore) -> list[Change]:
    """Make the registry what is declared; returns what changed. What is declared no more is deleted."""
    changes = plan(store)
    if changes:
        gone = {change.name for change in changes if change.action == "delete"}
        there = [*store.list_batch_feature_views(), *store.list_on_demand_feature_views(), *store.list_feature_services()]
        objects = [each for each in OBJECTS if not isinstance(each, RequestSource)]
        store.apply(objects, objects_to_delete=[each for each in there if each.name in gone], partial=False)
    return changes


def _contents() -> RepoContents:
    on_demand: list[Any] = [price_now_1m]
    assert isinstance(price_now_1m, OnDemandFeatureView)  # noqa: S101  # the decorator makes it one
    return RepoContents(
        projects=[Project(name=PROJECT, description="Features of the market-data platform.")], data_sources=[SOURCE],
        feature_views=list(VIEWS.values()), on_demand_feature_views=on_demand, stream_feature_views=[], label_views=[],
        entities=[INSTRUMENT], feature_services=list(SERVICES), permissions=[],
    )  # fmt: skip

"""Feast's registry: what applying would change, and applying it.

Belongs here: those two. Does not: what is registered (feast_objects.py), where (feast_config.py). Importing it costs what importing Feast
costs.
"""

import copy
from dataclasses import dataclass
from typing import Any, Final

from feast import Entity, FeatureService, FeatureStore, FeatureView, OnDemandFeatureView, RequestSource
from feast.data_source import DataSource
from feast.diff.property_diff import TransitionType
from feast.project import Project
from feast.repo_contents import RepoContents

from rrr_assets.contracts.features import FEATURES_1M
from rrr_assets.features.feast_config import PROJECT
from rrr_assets.features.feast_objects import OBJECTS

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
    registry, _, _ = store.plan(_contents(_declared()))
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
        there: list[Any] = [*store.list_batch_feature_views(), *store.list_on_demand_feature_views(), *store.list_feature_services()]
        objects: list[Any] = [each for each in _declared() if not isinstance(each, RequestSource)]
        store.apply([_project(), *objects], objects_to_delete=[each for each in there if each.name in gone], partial=False)
    return changes


def _declared() -> list[Any]:
    """What is declared, each time anew: Feast writes what it infers into what it is given, and would refuse that the next time."""
    return copy.deepcopy(list(OBJECTS))


def _project() -> Project:
    return Project(name=PROJECT, description="Features of the market-data platform.", owner=FEATURES_1M.owner)


def _contents(objects: list[Any]) -> RepoContents:
    def of(kind: type) -> list[Any]:
        return [each for each in objects if isinstance(each, kind)]

    return RepoContents(
        projects=[_project()], data_sources=of(DataSource), feature_views=of(FeatureView), on_demand_feature_views=of(OnDemandFeatureView),
        stream_feature_views=[], label_views=[], entities=of(Entity), feature_services=of(FeatureService), permissions=[],
    )  # fmt: skip

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
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.repo_contents import RepoContents

from rrr_assets.calc.outcomes import PermanentFailure
from rrr_assets.features.feast_config import PROJECT
from rrr_assets.features.feast_objects import OBJECTS

_MOST_SHOWN: Final = 80
_WORDS: Final = {TransitionType.CREATE: "create", TransitionType.DELETE: "delete", TransitionType.UPDATE: "update"}


@dataclass(frozen=True, slots=True)
class Change:
    """What applying would do to one object: create, update or delete it; of an update, which properties, from what to what.

    Of fields, their names: those that come (+), go (-), or are declared otherwise (~).
    """

    action: str
    kind: str
    name: str
    properties: tuple[str, ...]


class NotApplied(PermanentFailure):
    """Nothing is registered."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("Feast's registry is empty. Run `rrr features apply`; the asset online_features does it too")


def plan(store: FeatureStore) -> list[Change]:
    """What `apply` would change, in the order of kinds; nothing is written."""
    registry, _, _ = store.plan(_contents(_declared()))
    changes = []
    for diff in registry.feast_object_diffs:
        # Feast enters the project by itself whenever its registry is opened.
        if diff.transition_type not in _WORDS or diff.name.startswith("__") or diff.name == PROJECT:
            continue
        differences = [_difference(each.property_name, each.val_existing, each.val_declared) for each in diff.feast_object_property_diffs]
        properties = tuple(each for each in differences if each)
        # What Feast notes of itself (when it was written, what was brought online) is no change of what is declared.
        if properties or diff.transition_type is not TransitionType.UPDATE:
            changes.append(Change(_WORDS[diff.transition_type], diff.feast_object_type.value, diff.name, properties))
    return changes


def apply(store: FeatureStore) -> list[Change]:
    """Make the registry what is declared; returns what changed. What is declared no more is deleted."""
    changes = plan(store)
    if changes:
        gone = {change.name for change in changes if change.action == "delete"}
        there: list[Any] = [*store.list_batch_feature_views(), *store.list_on_demand_feature_views(), *store.list_feature_services()]
        objects: list[Any] = [each for each in _declared() if not isinstance(each, RequestSource)]
        store.apply(objects, objects_to_delete=[each for each in there if each.name in gone], partial=False)
    return changes


def require(store: FeatureStore) -> None:
    """Do nothing where the registry knows the features.

    Raises:
        NotApplied: it does not.
    """
    if not store.list_batch_feature_views():
        raise NotApplied


def _declared() -> list[Any]:
    """What is declared, each time anew: Feast writes what it infers into what it is given, and would refuse that the next time."""
    return copy.deepcopy(list(OBJECTS))


def _difference(name: str, registered: Any, declared: Any) -> str:
    """What differs of a property, in words; nothing where it is only when it was written."""
    if not hasattr(registered, "add"):
        old_text, new_text = _text(registered), _text(declared)
        return "" if old_text == new_text else f"{name}: {_short(old_text)} -> {_short(new_text)}"
    old, new = ({_name(each): each for each in fields} for fields in (registered, declared))
    signs = {field: "+" if field not in old else "-" if field not in new else "~" for field in {**old, **new}}
    return f"{name}: " + " ".join(sign + field for field, sign in signs.items() if old.get(field) != new.get(field))


def _name(field: Any) -> str:
    return str(getattr(field, "name", "") or getattr(field, "feature_view_name", "") or _short(_text(field)))


def _text(value: Any) -> str:
    if isinstance(value, DataSourceProto):
        source = DataSourceProto()
        source.CopyFrom(value)
        source.ClearField("meta")
        value = source
    return " ".join(str(value).split())


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _contents(objects: list[Any]) -> RepoContents:
    def of(kind: type) -> list[Any]:
        return [each for each in objects if isinstance(each, kind)]

    return RepoContents(
        projects=[Project(name=PROJECT)], data_sources=of(DataSource), entities=of(Entity), feature_views=of(FeatureView),
        on_demand_feature_views=of(OnDemandFeatureView), feature_services=of(FeatureService), stream_feature_views=[], label_views=[],
        permissions=[],
    )  # fmt: skip

from __future__ import annotations

from lbprovider.api.core import Namespace
from lbprovider.api.meta import Object, ObjectMeta
from lbprovider.api.resources import NAMESPACES
from lbprovider.controller.inventory import Change, Store
from lbprovider.kube.ports import Listed, Unreadable


def namespace(version: str, name: str = "a", **labels: str) -> Namespace:
    return Namespace(metadata=ObjectMeta(name=name, uid=f"uid-{name}", resource_version=version, labels=labels))


def gone(version: str, name: str = "a") -> Object:
    return Object(metadata=ObjectMeta(name=name, resource_version=version))


class Watched:
    def __init__(self) -> None:
        self.store = Store(NAMESPACES)
        self.changes: list[Change[Namespace]] = []
        self.store.subscribe(self.changes.append)

    def told(self) -> list[tuple[str, bool, bool]]:
        told = [(change.key, change.old is not None, change.new is not None) for change in self.changes]
        self.changes.clear()
        return told


def test_a_state_older_than_what_is_known_changes_nothing() -> None:
    world = Watched()
    world.store.changed(namespace("10", tier="new"))
    world.store.changed(namespace("9", tier="old"))  # as text, 9 is behind 10
    assert world.store.objects["a"].metadata.labels == {"tier": "new"}
    assert world.told() == [("a", False, True)]


def test_a_change_of_the_version_alone_is_no_change() -> None:
    world = Watched()
    world.store.changed(namespace("10"))
    world.store.changed(namespace("11"))
    assert world.told() == [("a", False, True)]
    assert world.store.objects["a"].metadata.resource_version == "11"


def test_what_is_deleted_stays_so_until_it_is_made_anew() -> None:
    world = Watched()
    world.store.changed(namespace("10"))
    world.store.deleted(gone("12"))
    world.store.changed(namespace("11"))  # a list that was made before the deletion
    assert not world.store.objects
    world.store.changed(namespace("13"))
    assert world.told() == [("a", False, True), ("a", True, False), ("a", False, True)]


def test_a_late_deletion_does_not_take_a_later_object() -> None:
    world = Watched()
    world.store.changed(namespace("20"))
    world.store.deleted(gone("12"))
    assert "a" in world.store.objects


def test_a_sweep_finds_what_vanished_and_spares_what_came_after_it() -> None:
    world = Watched()
    for name, version in (("stays", "10"), ("vanished", "11"), ("made-later", "30")):
        world.store.changed(namespace(version, name))
    world.told()
    listed = Listed((namespace("10", "stays"), namespace("12", "unseen")), "20")
    assert world.store.swept(listed, newest="12") == 1
    assert set(world.store.objects) == {"stays", "made-later", "unseen"}
    assert world.told() == [("unseen", False, True), ("vanished", True, False)]
    world.store.changed(namespace("11", "vanished"))  # an event that was under way
    assert "vanished" not in world.store.objects


def test_a_server_restored_from_a_backup_is_believed() -> None:
    world = Watched()
    world.store.changed(namespace("100", "a", tier="lost"))
    world.store.changed(namespace("101", "b"))
    newest = world.store.newest
    assert world.store.swept(Listed((namespace("40", "a", tier="old"),), "50"), newest=newest) == 1
    assert world.store.objects["a"].metadata.labels == {"tier": "old"}
    assert set(world.store.objects) == {"a"}
    world.store.changed(namespace("51", "a", tier="next"))
    assert world.store.objects["a"].metadata.labels == {"tier": "next"}


def test_what_can_not_be_read_counts_as_it_was() -> None:
    world = Watched()
    world.store.changed(namespace("10"))
    world.told()
    bad = Unreadable("Namespace", ObjectMeta(name="a", resource_version="11"), "Expected `str`")
    world.store.unreadable(bad)
    world.store.swept(Listed((), "20", (bad,)), newest="11")
    assert "a" in world.store.objects
    assert world.told() == []
    world.store.changed(namespace("21"))
    assert not world.store.unreadables

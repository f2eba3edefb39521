"""The server's rooms without HTTP, on a file of their own; what would be done later is done when a test says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lbprovider.lab.apiserver import bootstrap, kinds
from lbprovider.lab.apiserver.custom.registration import Served
from lbprovider.lab.apiserver.kinds import Kind
from lbprovider.lab.apiserver.services.allocating import Allocator
from lbprovider.lab.apiserver.services.registry import Registry
from lbprovider.lab.apiserver.store import Key, Object, Store
from lbprovider.lab.apiserver.writing.bodies import Options
from lbprovider.lab.apiserver.writing.deleter import Deleter, Deletion
from lbprovider.lab.apiserver.writing.rules import Rules
from lbprovider.lab.apiserver.writing.writer import Write, Writer

NOW = "2026-01-01T00:00:00Z"
LATER = "2026-01-01T00:00:09Z"

GADGETS: Object = {
    "metadata": {"name": "gadgets.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "gadgets", "kind": "Gadget"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "size": {"type": "integer", "minimum": 1},
                                    "colour": {"type": "string", "default": "red"},
                                },
                            },
                            "status": {"type": "object", "properties": {"ready": {"type": "boolean"}}},
                        },
                    }
                },
            }
        ],
    },
}


class House:
    """A server's rooms on the objects in a folder; :meth:`settle` does what follows from deletions."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder / "objects.sqlite")
        bootstrap.fill(self.store, NOW)
        self.served = Served(self.store)
        self._soon: list[Callable[[], None]] = []
        self.deleter = Deleter(self.store, self.served, self._soon.append, lambda: LATER)
        rules = Rules(self.served, Registry(Allocator(self.store)))
        self.writer = Writer(self.store, self.served, rules, self.deleter)

    def settle(self) -> None:
        while self._soon:
            self._soon.pop(0)()

    def write(
        self,
        kind: Kind,
        name: str,
        content: object,
        *,
        namespace: str = "default",
        subresource: str = "",
        content_type: str = "application/json",
        validation: str = "Warn",
        dry_run: bool = False,
    ) -> Write:
        key = Key(kind.resource, namespace if kind.namespaced else "", name)
        payload = content if isinstance(content, bytes) else json.dumps(content).encode()
        return Write(kind, key, subresource, payload, content_type, Options(dry_run, validation), LATER)

    def create(self, kind: Kind, content: object, **how: Any) -> Object:
        return self.writer.create(self.write(kind, "", content, **how))

    def patch(self, kind: Kind, name: str, content: object, **how: Any) -> Object:
        return self.writer.patch(
            self.write(kind, name, content, **{"content_type": "application/merge-patch+json", **how})
        )

    def replace(self, kind: Kind, name: str, content: object, **how: Any) -> tuple[Object, bool]:
        return self.writer.replace(self.write(kind, name, content, **how))

    def delete(
        self, kind: Kind, name: str, namespace: str = "default", policy: str = "Background", **given: str
    ) -> Object:
        key = Key(kind.resource, namespace if kind.namespaced else "", name)
        deletion = Deletion(policy, given.get("uid", ""), given.get("version", ""), dry_run=False, now=LATER)
        return self.deleter.delete(kind, key, deletion)

    def get(self, kind: Kind, name: str, namespace: str = "default") -> Object | None:
        entry = self.store.get(kind.resource, namespace if kind.namespaced else "", name)
        return None if entry is None else entry.value

    def gadgets(self) -> Kind:
        """A custom kind; its CRD is made when it is first asked for."""
        found = self.served.find("example.com", "v1", "gadgets")
        if found is None:
            self.create(kinds.CRD, GADGETS)
            found = self.served.find("example.com", "v1", "gadgets")
        assert found is not None
        return found


def gadget(name: str, **fields: Any) -> Object:
    return {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": name}, **fields}


def lease(name: str, **metadata: Any) -> Object:
    return {"metadata": {"name": name, **metadata}, "spec": {"holderIdentity": "a"}}


def owned(*owners: Object) -> list[Object]:
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
        }
        for owner in owners
    ]

"""What ``lbprovider drain`` and ``undrain`` do: an annotation on the Node, and a look at what comes of it.

An annotation, so that the wish outlives the command, the speaker, and the API server's restarts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

from lbprovider.api import names
from lbprovider.api.allocation import IPAllocation
from lbprovider.api.conditions import ANNOUNCED
from lbprovider.api.core import Node
from lbprovider.api.meta import Condition, Object
from lbprovider.api.resources import ALLOCATIONS, LEASES, NODES
from lbprovider.errors import NotFound, UserError
from lbprovider.kube.ports import Api, Unreadable
from lbprovider.kube.reflector import Reflector

NAMED: Final = 10
"""Addresses that one sentence names."""

Say = Callable[[str], None]


async def drain(api: Api, node: str, namespace: str, *, within: float | None, say: Say) -> None:
    """Asks a node to lead nothing, and tells what moved where.

    Args:
        api: the API server, as the admin.
        node: which.
        namespace: where the speakers run.
        within: seconds to wait until it leads nothing; None doesn't wait.
        say: told each line.

    Raises:
        ClusterError: no such Node, no speaker on it, or a permission is missing: nothing was changed then.
        UserError: the node still leads something after that time, or nobody else may; it stays drained.
    """
    await _node(api, node)
    await _check_speaker(api, node, namespace)
    moves = _Moves(node, say)
    moves.replaced((await api.list(ALLOCATIONS)).objects, ())
    await api.patch(NODES, node, _annotated("true"))
    say(f"node {node} drains: it leads {_count(moves.left)}")
    if within is not None:
        await _until_empty(api, moves, within)
        if moves.unserved:
            raise UserError(
                f"nobody answers for {_count(moves.left)} any more ({_named(moves.left)}): "
                f"{next(iter(moves.unserved.values()))}; node {node} stays drained until `lbprovider undrain {node}`"
            )
        say(f"node {node} leads nothing, and takes nothing until `lbprovider undrain {node}`")


async def undrain(api: Api, node: str, *, say: Say) -> None:
    """Takes the wish back. Nothing moves by that.

    Raises:
        ClusterError: no such Node, or a permission is missing.
    """
    there = await _node(api, node)
    if names.DRAIN_ANNOTATION not in there.metadata.annotations:
        say(f"node {node} was not drained")
        return
    await api.patch(NODES, node, _annotated(None))
    say(f"node {node} takes addresses again; those that have moved stay where they are")


async def _node(api: Api, node: str) -> Node:
    try:
        return await api.get(NODES, node)
    except NotFound as error:
        raise NotFound(f"there is no Node {node}: `kubectl get nodes` lists them", status=error.status) from error


async def _check_speaker(api: Api, node: str, namespace: str) -> None:
    try:
        lease = await api.get(LEASES, node, namespace=namespace)
    except NotFound:
        lease = None
    if lease is None or names.SPEAKER_LABEL not in lease.metadata.labels:
        raise NotFound(
            f"no speaker has registered from node {node} in namespace {namespace}, so it leads nothing; where "
            "lbprovider runs in another one, name that with --namespace"
        )


def _annotated(value: str | None) -> dict[str, object]:
    return {"metadata": {"annotations": {names.DRAIN_ANNOTATION: value}}}


async def _until_empty(api: Api, moves: _Moves, within: float) -> None:
    moves.empty.clear()  # what counts is how it is once the wish is there
    watching = asyncio.create_task(Reflector(api, ALLOCATIONS).run(moves))
    try:
        async with asyncio.timeout(within):
            await moves.empty.wait()
    except TimeoutError:
        raise UserError(
            f"node {moves.node} still leads {_count(moves.left)} after {within:g} s ({_named(moves.left)}): either no "
            "other node may announce them, as their IPAllocations say, or its speaker is down; it stays drained until "
            f"`lbprovider undrain {moves.node}`"
        ) from None
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching


class _Moves:
    """A reflector's sink: which addresses a node leads, and where they go.

    Args:
        node: whose.
        say: told of each that has moved.

    Attributes:
        left: the addresses that it leads still, by the names of their IPAllocations.
        unserved: of these, why nobody answers for them.
        empty: set while there is none but such, once somebody has told.
    """

    def __init__(self, node: str, say: Say) -> None:
        self.node = node
        self.left: dict[str, str] = {}
        self.unserved: dict[str, str] = {}
        self.empty = asyncio.Event()
        self._say = say

    def replaced(self, objects: Sequence[IPAllocation], unreadable: Sequence[Unreadable]) -> None:
        there = {one.metadata.name for one in objects} | {one.metadata.name for one in unreadable}
        for name in self.left.keys() - there:
            self._gone(name)
        for one in objects:
            self._put(one)
        self._look()

    def changed(self, obj: IPAllocation) -> None:
        self._put(obj)
        self._look()

    def deleted(self, obj: Object) -> None:
        self._gone(obj.metadata.name)
        self._look()

    def unreadable(self, unreadable: Unreadable) -> None:
        """Keeps what was known; the reflector has said so."""

    def _put(self, one: IPAllocation) -> None:
        name, leader = one.metadata.name, one.status.leader
        self.unserved.pop(name, None)
        if not one.spec.services:  # nobody announces it: it cools down, under the name of its last leader
            self._gone(name)
        elif leader == self.node:
            self.left[name] = one.spec.address
            for each in filter(_says_nobody, one.status.conditions):
                self.unserved[name] = each.message
        elif self.left.pop(name, ""):
            self._say(f"{one.spec.address}: {self.node} -> {leader}")

    def _gone(self, name: str) -> None:
        self.unserved.pop(name, None)
        address = self.left.pop(name, "")
        if address:
            self._say(f"{address}: no Service has it any more")

    def _look(self) -> None:
        if self.left.keys() == self.unserved.keys():
            self.empty.set()
        else:
            self.empty.clear()


def _says_nobody(condition: Condition) -> bool:
    return condition.type == ANNOUNCED and condition.status == "False"


def _count(left: Collection[str]) -> str:
    return "nothing" if not left else f"{len(left)} address{'es' if len(left) > 1 else ''}"


def _named(left: dict[str, str]) -> str:
    return ", ".join(sorted(left.values())[:NAMED]) + (", ..." if len(left) > NAMED else "")

"""The keys of heartbeats, from their Secret as it is now. ELECTION.md C12."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from lbprovider.api import heartbeat_key
from lbprovider.api.core import Secret
from lbprovider.api.heartbeat_key import HeartbeatKey
from lbprovider.errors import InvalidObject
from lbprovider.speaker.store import Store

log = structlog.get_logger(__name__)


class Keyring:
    """What a reflector of that one Secret feeds.

    Args:
        changed: told when the keys have.

    A Secret that becomes unreadable or is deleted changes nothing: speakers go on under the keys that they have, for
    silence would be an outage.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._keys: tuple[HeartbeatKey, ...] = ()
        self._there = asyncio.Event()
        self.sink = Store[Secret](self._put, self._drop)

    def keys(self) -> tuple[HeartbeatKey, ...]:
        """Newest first; empty before there is one."""
        return self._keys

    async def wait(self) -> None:
        """Until there is a key."""
        await self._there.wait()

    def _put(self, secret: Secret) -> None:
        try:
            keys = heartbeat_key.decode(secret)
        except InvalidObject as error:
            log.error(str(error), reason="InvalidHeartbeatKey")  # noqa: TRY400  (the user's mistake, not our bug)
            return
        if keys != self._keys:
            self._keys = keys
            self._there.set()
            self._changed()

    def _drop(self, name: str) -> None:
        log.warning("the heartbeat key was deleted; going on with what is known of it", secret=name)

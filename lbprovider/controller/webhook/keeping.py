"""Keeps the certificate in its Secret, the server showing it, and the API server believing it. Every replica does.

Replicas write the same things by the same rules, each write on the condition that nobody was faster; whoever was slower
reads what the other wrote. What is taken away or overwritten is put back as soon as a watch tells of it.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import structlog

from lbprovider.api import names
from lbprovider.api.core import Secret
from lbprovider.api.meta import Object, ObjectMeta
from lbprovider.api.resources import SECRETS, WEBHOOKS
from lbprovider.api.times import rfc3339
from lbprovider.api.webhook import ValidatingWebhookConfiguration
from lbprovider.controller.tasks import beside
from lbprovider.controller.webhook import certificates, handshake
from lbprovider.controller.webhook.certificates import Generation, Kept, Pems
from lbprovider.errors import Conflict, KindMissing, LbproviderError, NotFound
from lbprovider.kube.ports import Api, Unreadable
from lbprovider.kube.reflector import Reflector

ATTEMPTS: Final = 4
"""Times that the Secret is read again because another replica was faster."""
RETRY: Final = 5.0
"""Seconds after which what failed is tried again."""
PAUSE: Final = 10.0
"""Seconds between two writes of the Secret: should two replicas never agree (their clocks are years apart), or somebody
keep overwriting it, no more than this comes of it."""

log = structlog.get_logger(__name__)


class Keeper:
    """Keeps it until cancelled.

    Args:
        api: the API server.
        namespace: where Secret and Service are.
        show: has the server show a generation; may raise ``HostError``.
        wall: seconds since 1970.
    """

    def __init__(
        self,
        api: Api,
        namespace: str,
        show: Callable[[Generation], Awaitable[None]],
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._hosts = hosts(namespace)
        self._show = show
        self._wall = wall
        self._shown: Generation | None = None
        self._wrote: float | None = None
        self._said = ""
        self._bell = _Bell()

    async def run(self) -> None:
        """Until cancelled; whatever fails is said once and tried again."""
        by_name = f"metadata.name={names.WEBHOOK}"
        secrets = Reflector(self._api, SECRETS, namespace=self._namespace, field_selector=by_name)
        configurations = Reflector(self._api, WEBHOOKS, field_selector=by_name)
        async with beside(secrets.run(self._bell), configurations.run(self._bell)):
            while True:
                self._bell.rung.clear()
                try:
                    wait = await self.step()
                except LbproviderError as error:
                    self._say("the webhook's certificate is not as it should be", str(error))
                    await asyncio.sleep(RETRY)
                except Exception:  # whatever it is, addresses are given out without a webhook too
                    log.exception("a bug in lbprovider: the webhook's certificate is not kept")
                    await asyncio.sleep(certificates.HOUR)
                else:
                    await self._bell.wait(wait)

    async def step(self) -> float:
        """Looks at everything, and puts right what is wrong; returns the seconds until the next look.

        Raises:
            LbproviderError: something can't be put right now.
        """
        now = self._wall()
        configuration = await self._configuration()
        if configuration is None:
            return certificates.LOOK
        believed = _bundle_of(configuration)
        kept = await self._keep(believed, now)
        chosen = certificates.to_show(kept, believed, now)
        await self._show(chosen)
        if self._shown != chosen:
            log.info("the webhook shows a certificate", good_until=rfc3339(chosen.ends))
        self._shown = chosen
        if believed != (wanted := certificates.bundle(kept)):
            await self._tell(configuration, wanted)
        self._said = ""
        return certificates.due(kept, now)

    async def _configuration(self) -> ValidatingWebhookConfiguration | None:
        """Ours, if it has our entry: without it nobody asks the webhook, and nothing is made for it."""
        try:
            found = await self._api.get(WEBHOOKS, names.WEBHOOK)
        except KindMissing:
            raise
        except NotFound:
            found = ValidatingWebhookConfiguration()
        if any(each.name == names.WEBHOOK_ENTRY for each in found.webhooks):
            return found
        self._say(
            "the webhook waits to be installed",
            f"there is no ValidatingWebhookConfiguration {names.WEBHOOK} with a webhook {names.WEBHOOK_ENTRY}, so "
            "edits of pools are not checked: apply config/default, or start the controller with --no-webhook",
        )
        return None

    async def _keep(self, believed: bytes, now: float) -> Kept:
        """The Secret as it is to be, written where it wasn't so."""
        for _ in range(ATTEMPTS):
            secret = await self._secret()
            stored = () if secret is None else self._usable(secret)
            kept = certificates.keep(stored, self._shown, believed, now, lambda: _made(self._hosts, now))
            data = certificates.encode(kept)
            if secret is not None and dict(secret.data) == data:
                return kept
            self._may_write()
            try:
                await self._write(secret, data)
            except Conflict:
                continue  # another replica has just written it
            self._wrote = asyncio.get_running_loop().time()
            log.info("the webhook's certificate is written", secret=names.WEBHOOK, generations=len(kept))
            return kept
        raise Conflict(f"Secret {names.WEBHOOK} was changed by somebody else each time", status=409, reason="Contested")

    async def _secret(self) -> Secret | None:
        try:
            return await self._api.get(SECRETS, names.WEBHOOK, namespace=self._namespace)
        except NotFound:
            return None

    def _usable(self, secret: Secret) -> Kept:
        found = []
        for pems in certificates.decode(secret.data):
            try:
                found.append(_examined(pems, self._hosts))
            except handshake.Unusable as error:
                self._say("a certificate of the webhook can't be used and is replaced", str(error))
        return tuple(found)

    def _may_write(self) -> None:
        if self._wrote is not None and asyncio.get_running_loop().time() < self._wrote + PAUSE:
            raise Conflict(
                f"Secret {names.WEBHOOK} is not as it was written seconds ago: does somebody else write it, or do the "
                "clocks of two controllers differ?", status=409, reason="Contested",
            )  # fmt: skip

    async def _write(self, secret: Secret | None, data: dict[str, str]) -> None:
        if secret is None:
            metadata = ObjectMeta(name=names.WEBHOOK, namespace=self._namespace)
            await self._api.create(SECRETS, Secret(metadata=metadata, data=data))
            return
        body = {
            "metadata": {"resourceVersion": secret.metadata.resource_version},
            "data": {**dict.fromkeys(secret.data), **data},  # null takes a key away (RFC 7396)
        }
        await self._api.patch(SECRETS, names.WEBHOOK, body, namespace=self._namespace)

    async def _tell(self, configuration: ValidatingWebhookConfiguration, bundle: bytes) -> None:
        """Has the API server believe these authorities; the rest of the configuration is the admin's."""
        entry = {"name": names.WEBHOOK_ENTRY, "clientConfig": {"caBundle": b64encode(bundle).decode("ascii")}}
        version = configuration.metadata.resource_version
        body = {"metadata": {"resourceVersion": version}, "webhooks": [entry]}
        await self._api.patch(WEBHOOKS, names.WEBHOOK, body, strategic=True)
        log.info("the API server is told whom to believe", configuration=names.WEBHOOK)

    def _say(self, event: str, problem: str) -> None:
        """Once, not each time that it is found again."""
        if problem != self._said:
            self._said = problem
            log.warning(event, problem=problem)


class _Bell:
    """A ``kube.ports.Sink`` that keeps nothing: it rings when anything happens."""

    def __init__(self) -> None:
        self.rung = asyncio.Event()

    async def wait(self, most: float) -> None:
        """Until it rings, ``most`` seconds at most."""
        try:
            async with asyncio.timeout(most):
                await self.rung.wait()
        except TimeoutError:
            return

    def replaced(self, _objects: Sequence[Any], _unreadable: Sequence[Unreadable]) -> None:
        self.rung.set()

    def changed(self, _obj: Any) -> None:
        self.rung.set()

    def deleted(self, _obj: Object) -> None:
        self.rung.set()

    def unreadable(self, _unreadable: Unreadable) -> None:
        self.rung.set()


def hosts(namespace: str) -> tuple[str, ...]:
    """The DNS names of the webhook's Service; the API server looks for the first."""
    name = f"{names.WEBHOOK}.{namespace}.svc"
    return (name, f"{name}.cluster.local", f"{names.WEBHOOK}.{namespace}")


@lru_cache(maxsize=4)
def _examined(pems: Pems, hosts: tuple[str, ...]) -> Generation:
    """Once for each that there is: a handshake takes some milliseconds."""
    return handshake.examine(pems, hosts)


def _made(hosts: Sequence[str], now: float) -> Generation:
    # Here and not above: it costs 10 MB, which most replicas never need.
    from lbprovider.controller.webhook import making  # noqa: PLC0415

    return making.make(hosts, now)


def _bundle_of(configuration: ValidatingWebhookConfiguration) -> bytes:
    entry = next(each for each in configuration.webhooks if each.name == names.WEBHOOK_ENTRY)
    try:
        return b64decode(entry.client_config.ca_bundle, validate=True)
    except NotBase64:
        return b""

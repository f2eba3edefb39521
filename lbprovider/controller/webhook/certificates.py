"""Which certificate the webhook shows, whom the API server is to believe, and when that changes. Pure: time is given.

A *generation* is a certificate authority that has signed one certificate; its own key is gone. At most two are kept, in
one Secret: the elder, and the younger that follows it. What every replica does with them comes from their dates alone,
so that replicas agree without asking each other:

=====================  ============================  ==========================
the youngest's age     shown by all replicas         believed by the API server
=====================  ============================  ==========================
below ``SPREAD``       the elder (if there is one)   both
below 2 x ``SPREAD``   the younger                   both
more                   the younger                   the younger
=====================  ============================  ==========================

The API server learns of a new authority from the ValidatingWebhookConfiguration, replicas of new keys from the Secret:
both within seconds, so ``SPREAD`` forgives an hour of clocks that differ, and of a configuration that can't be written.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

HOUR: Final = 3600
DAY: Final = 24 * HOUR

LIFE: Final = 90 * DAY
"""Seconds that a certificate is good for."""
RENEW: Final = 30 * DAY
"""Seconds before its end at which the next one is made: a cluster may be switched off for a month."""
SPREAD: Final = HOUR
"""Seconds in which everybody who has to hears of a new generation."""
BACKDATE: Final = DAY
"""Seconds by which a certificate is good before it is made: the API server's clock may be behind ours."""
LOOK: Final = HOUR
"""Seconds after which all of it is looked at again, though nothing is due and nobody has told of a change."""

_PARTS: Final = ("ca.crt", "tls.crt", "tls.key")
_PREFIXES: Final = ("", "next-")
"""Before the keys of the Secret that hold the elder and the younger generation."""


@dataclass(frozen=True, slots=True)
class Pems:
    """What a generation consists of, in PEM form.

    Args:
        authority: the certificate that signed the other one.
        certificate: what the webhook shows.
        key: of ``certificate``.
    """

    authority: bytes
    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True)
class Generation:
    """Pems that are good, and for how long.

    Args:
        pems: all that it consists of.
        begins: seconds since 1970 from which it is good: ``BACKDATE`` before it was made.
        ends: seconds since 1970 from which it is good no more.
    """

    pems: Pems
    begins: int
    ends: int

    @property
    def made(self) -> int:
        """Seconds since 1970."""
        return self.begins + BACKDATE

    def good(self, now: float) -> bool:
        """Whether it can be shown now."""
        return self.begins <= now < self.ends


Kept = tuple[Generation, ...]
"""None, one, or the elder and the younger."""


def keep(stored: Kept, shown: Generation | None, believed: bytes, now: float, make: Callable[[], Generation]) -> Kept:
    """What is to be in the Secret.

    Args:
        stored: what is in it, the elder first; of what can't be used, nothing.
        shown: what we show, which goes on to be believed for a while where it was taken out of the Secret.
        believed: the authorities that the API server was told of before now, in PEM form.
        now: seconds since 1970.
        make: makes a new generation.

    Returns:
        ``stored`` itself where it is as it should be.
    """
    good = tuple(each for each in stored if each.good(now))
    if not good:
        return (shown, make()) if shown is not None and shown.good(now) else (make(),)
    youngest = good[-1]
    if now >= youngest.ends - RENEW:
        return (youngest, make())
    if len(good) > 1 and now >= youngest.made + 2 * SPREAD and youngest.pems.authority in believed:
        return (youngest,)
    return stored if good == stored else good


def to_show(kept: Kept, believed: bytes, now: float) -> Generation:
    """What to show of what is kept, which is not nothing.

    Args:
        kept: the elder first.
        believed: the authorities that the API server was told of before now, in PEM form.
        now: seconds since 1970.
    """
    *elder, youngest = kept
    spread = now >= youngest.made + SPREAD
    unheard_of = youngest.pems.authority not in believed and any(each.pems.authority in believed for each in elder)
    return elder[0] if elder and (not spread or unheard_of) else youngest


def due(kept: Kept, now: float) -> float:
    """Seconds until something is to change by time alone; ``LOOK`` at most."""
    youngest = kept[-1]
    times = (youngest.made + SPREAD, youngest.made + 2 * SPREAD, youngest.ends - RENEW)
    return min((at - now for at in times if now < at <= now + LOOK), default=LOOK)


def bundle(kept: Kept) -> bytes:
    """What the API server is to believe: the authorities, in PEM form."""
    return b"".join(each.pems.authority for each in kept)


def encode(kept: Kept) -> dict[str, str]:
    """The ``data`` of the Secret."""
    return {
        f"{prefix}{part}": b64encode(pem).decode("ascii")
        for prefix, each in zip(_PREFIXES, kept, strict=False)
        for part, pem in zip(_PARTS, (each.pems.authority, each.pems.certificate, each.pems.key), strict=True)
    }


def decode(data: Mapping[str, str]) -> tuple[Pems, ...]:
    """What a Secret's ``data`` has of generations, good or not, the elder first; what isn't whole is left out."""
    found = []
    for prefix in _PREFIXES:
        try:
            found.append(Pems(*(b64decode(data[f"{prefix}{part}"], validate=True) for part in _PARTS)))
        except (KeyError, ValueError):
            continue
    return tuple(found)

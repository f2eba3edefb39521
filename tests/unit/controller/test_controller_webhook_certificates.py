"""The life of the webhook's certificates, with time as an argument, and what pems are worth."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from lbprovider.controller.webhook import handshake, making
from lbprovider.controller.webhook.certificates import (
    BACKDATE,
    DAY,
    HOUR,
    LIFE,
    LOOK,
    RENEW,
    SPREAD,
    Generation,
    Kept,
    Pems,
    bundle,
    decode,
    due,
    encode,
    keep,
    to_show,
)
from lbprovider.controller.webhook.handshake import Unusable
from lbprovider.controller.webhook.keeping import hosts

NOW = 1_800_000_000
NAMES = hosts("lbprovider-system")


def generation(name: str, made: int = NOW) -> Generation:
    pems = Pems(f"authority {name}\n".encode(), f"certificate {name}\n".encode(), f"key {name}\n".encode())
    return Generation(pems, made - BACKDATE, made + LIFE)


class Made:
    """Makes generations, and counts them."""

    def __init__(self, now: float) -> None:
        self._now = int(now)
        self.count = 0

    def __call__(self) -> Generation:
        self.count += 1
        return generation(f"new at {self._now}", self._now)


def kept(stored: Kept, now: float, shown: Generation | None = None) -> Kept:
    return keep(stored, shown, bundle(stored), now, Made(now))


OLD = generation("old")
FRESH = generation("fresh", NOW + LIFE - RENEW)


# ---- what follows from the dates


def test_where_there_is_nothing_one_is_made() -> None:
    assert kept((), NOW) == (generation(f"new at {NOW}", NOW),)


@pytest.mark.parametrize("age", [0, DAY, LIFE - RENEW - 1])
def test_a_good_one_stays_for_two_months(age: int) -> None:
    assert kept((OLD,), NOW + age) == (OLD,)


def test_a_month_before_its_end_the_next_one_is_made_beside_it() -> None:
    elder, younger = kept((OLD,), NOW + LIFE - RENEW)
    assert elder == OLD
    assert younger.made == NOW + LIFE - RENEW


def test_the_next_one_is_made_once() -> None:
    assert kept((OLD, FRESH), FRESH.made + 1) == (OLD, FRESH)


def test_the_elder_goes_when_nobody_shows_it_any_more() -> None:
    assert kept((OLD, FRESH), FRESH.made + 2 * SPREAD - 1) == (OLD, FRESH)
    assert kept((OLD, FRESH), FRESH.made + 2 * SPREAD) == (FRESH,)


def test_the_elder_stays_until_the_api_server_was_told_of_the_younger() -> None:
    stored = (OLD, FRESH)
    assert keep(stored, OLD, bundle((OLD,)), FRESH.made + 5 * SPREAD, Made(NOW)) == stored


def test_one_that_has_ended_is_no_elder_to_a_new_one() -> None:
    (only,) = kept((OLD,), NOW + LIFE)
    assert only.made == NOW + LIFE


def test_one_of_a_clock_that_is_ahead_is_not_used() -> None:
    ahead = generation("ahead", NOW + 2 * DAY)
    assert kept((ahead,), NOW) == (generation(f"new at {NOW}", NOW),)
    assert kept((OLD, ahead), NOW) == (OLD,)


def test_a_clock_that_is_a_day_behind_minds_nothing() -> None:
    assert kept((OLD,), NOW - DAY) == (OLD,)


def test_what_is_shown_and_was_taken_away_is_replaced_without_a_gap() -> None:
    elder, younger = kept((), NOW + DAY, shown=OLD)
    assert (elder, younger.made) == (OLD, NOW + DAY)
    assert to_show((elder, younger), bundle((OLD,)), NOW + DAY) == OLD


def test_what_is_shown_and_has_ended_is_not_put_back() -> None:
    assert OLD not in kept((), NOW + LIFE, shown=OLD)


@pytest.mark.parametrize(
    ("age", "believed", "shown"),
    [
        (0, (OLD, FRESH), OLD),
        (SPREAD - 1, (OLD, FRESH), OLD),
        (SPREAD, (OLD, FRESH), FRESH),
        (SPREAD, (OLD,), OLD),  # the configuration could not be written for an hour
        (SPREAD, (), FRESH),  # somebody replaced it: whichever is shown, it is believed in a moment
        (0, (FRESH,), OLD),
    ],
)
def test_the_younger_is_shown_once_everybody_has_heard_of_it(age: int, believed: Kept, shown: Generation) -> None:
    assert to_show((OLD, FRESH), bundle(believed), FRESH.made + age) == shown


def test_one_alone_is_shown_at_once() -> None:
    assert to_show((OLD,), b"", NOW) == OLD


@pytest.mark.parametrize(
    ("stored", "now", "wait"),
    [
        ((OLD,), NOW + 10, SPREAD - 10),
        ((OLD,), NOW + 3 * SPREAD, LOOK),
        ((OLD,), OLD.ends - RENEW - 60, 60),
        ((OLD, FRESH), FRESH.made, SPREAD),
        ((OLD, FRESH), FRESH.made + SPREAD, SPREAD),
        ((OLD, FRESH), FRESH.made + SPREAD + 1, SPREAD - 1),
    ],
)
def test_the_next_look_is_when_something_is_due(stored: Kept, now: int, wait: int) -> None:
    assert due(stored, now) == wait


@given(looks=st.lists(st.integers(min_value=1, max_value=20 * DAY), max_size=60))
def test_whatever_the_pauses_all_show_what_is_believed_and_good(looks: list[int]) -> None:
    """Two replicas that look at times of their own, a Secret and a configuration; no review may fail at either."""
    secret: Kept = ()
    believed, now = b"", NOW
    shown: dict[int, Generation] = {}
    for step, pause in enumerate(looks):
        replica = step % 2
        now += pause
        secret = keep(secret, shown.get(replica), believed, now, Made(now))
        shown[replica] = to_show(secret, believed, now)
        believed = bundle(secret)
        assert shown[replica].good(now)
        assert len(secret) <= 2
        other = shown.get(1 - replica)
        # One that has not looked for more than an hour hasn't run: a replica looks at least so often.
        if other is not None and pause <= SPREAD and other.good(now):
            assert other.pems.authority in believed
        assert shown[replica].pems.authority in believed


# ---- the Secret


def test_the_secret_holds_both_and_gives_them_back_in_their_order() -> None:
    assert decode(encode((OLD, FRESH))) == (OLD.pems, FRESH.pems)
    assert encode((OLD,)).keys() == {"ca.crt", "tls.crt", "tls.key"}  # as other tools name them


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"tls.crt": "x"},
        {**encode((OLD,)), "tls.key": "not base64!"},
        {**encode((OLD,)), "tls.key": "Zé"},
    ],
    ids=str,
)
def test_what_is_not_whole_is_left_out(data: dict[str, str]) -> None:
    assert decode(data) == ()


# ---- real ones


@pytest.fixture(scope="module")
def real() -> Generation:
    return making.make(NAMES, NOW)


def test_what_is_made_is_good_for_its_names_and_time(real: Generation) -> None:
    assert handshake.examine(real.pems, NAMES) == real
    assert (real.made, real.ends) == (NOW, NOW + LIFE)


def test_the_authority_can_sign_nothing_more_and_the_certificate_is_a_servers(real: Generation) -> None:
    authority = x509.load_pem_x509_certificate(real.pems.authority)
    certificate = x509.load_pem_x509_certificate(real.pems.certificate)
    key = serialization.load_pem_private_key(real.pems.key, None)
    certificate.verify_directly_issued_by(authority)
    assert key.public_key() == certificate.public_key() != authority.public_key()
    constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert tuple(names.get_values_for_type(x509.DNSName)) == NAMES
    assert certificate.not_valid_before_utc == dt.datetime.fromtimestamp(NOW - BACKDATE, dt.UTC)


def test_no_two_authorities_have_one_name(real: Generation) -> None:
    other = making.make(NAMES, NOW)
    subjects = {x509.load_pem_x509_certificate(each.pems.authority).subject for each in (real, other)}
    assert len(subjects) == 2


def test_one_that_has_ended_is_examined_all_the_same() -> None:
    ended = making.make(NAMES, 0)
    assert handshake.examine(ended.pems, NAMES) == ended


def test_a_namespace_with_a_long_name_has_a_certificate_too() -> None:
    names = hosts("n" * 63)
    assert handshake.examine(making.make(names, NOW).pems, names).made == NOW


OTHER = making.make(NAMES, NOW).pems


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"authority": OTHER.authority}, "doesn't believe it"),
        ({"authority": b"none"}, "authority is no certificate"),
        ({"authority": b"\xff"}, "authority is no certificate"),
        ({"certificate": OTHER.certificate}, "can't be used together"),
        ({"certificate": b""}, "can't be used together"),
        ({"key": OTHER.key}, "can't be used together"),
        ({"key": b"none"}, "can't be used together"),
    ],
    ids=str,
)
def test_rubbish_is_told_from_a_certificate(real: Generation, change: dict[str, bytes], said: str) -> None:
    pems = Pems(
        **{"authority": real.pems.authority, "certificate": real.pems.certificate, "key": real.pems.key} | change
    )
    with pytest.raises(Unusable, match=said):
        handshake.examine(pems, NAMES)


def test_one_for_another_namespace_can_not_be_used(real: Generation) -> None:
    with pytest.raises(Unusable, match=r"lbprovider-webhook\.elsewhere\.svc"):
        handshake.examine(real.pems, hosts("elsewhere"))


def test_nobody_is_asked_for_a_passphrase(real: Generation) -> None:
    key = serialization.load_pem_private_key(real.pems.key, None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    with pytest.raises(Unusable):
        handshake.examine(Pems(real.pems.authority, real.pems.certificate, locked), NAMES)


def test_a_certificate_costs_memory_only_where_one_is_made() -> None:
    """And none in a speaker at all."""
    program = "import sys; import {}; assert not [name for name in sys.modules if name.startswith('cryptography')]"
    for module in ("lbprovider.controller.app", "lbprovider.speaker.app", "lbprovider.cli.main"):
        ended = subprocess.run([sys.executable, "-c", program.format(module)], capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr.decode()


def test_an_hour_is_enough_for_everybody() -> None:
    # A replica looks at least so often, so nobody shows the elder when it is believed no more.
    assert LOOK <= SPREAD
    assert HOUR == SPREAD

"""The snapshot's file: what is written comes back, anything else is refused in one sentence, a crash spoils nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lbprovider.api.allocation import IPAllocation, IPAllocationSpec, IPAllocationStatus, ServiceClaim
from lbprovider.api.core import Node, NodeCondition, NodeSpec, NodeStatus, ServicePort, Taint
from lbprovider.api.heartbeat_key import HeartbeatKey
from lbprovider.api.meta import ObjectMeta
from lbprovider.api.names import DRAIN_ANNOTATION, SERVICE_LABEL
from lbprovider.api.pool import L2Advertisement, L2AdvertisementSpec, L2AdvertisementStatus
from lbprovider.api.registration import Attachment, Registration, registration
from lbprovider.api.segment import MemberList, Segment, SegmentSpec
from lbprovider.election.endpoints import Endpoints, of_slice
from lbprovider.errors import HostError
from lbprovider.speaker import files, snapshot
from lbprovider.speaker.files import SnapshotFile
from lbprovider.speaker.snapshot import Backed, Kept, Snapshot, Speaker

words = st.text(max_size=12)
names = st.text("abc-.0123", min_size=1, max_size=12)
numbers = st.integers(0, 2**62)
metas = st.builds(ObjectMeta, name=names, uid=words, resource_version=words, labels=st.dictionaries(words, words))
lists = st.builds(MemberList, members=st.lists(names).map(tuple), need=numbers, heartbeat_period=st.none() | numbers)
segments = st.builds(
    Segment,
    metadata=st.builds(ObjectMeta, name=names, uid=words),
    spec=st.builds(
        SegmentSpec, subnets=st.tuples(words), version=numbers, lists=st.lists(lists, max_size=3).map(tuple)
    ),
)
conditions = st.sampled_from(("Ready", "NetworkUnavailable")).map(
    lambda kind: (NodeCondition(type=kind, status="True"),)
)
nodes = st.builds(
    Node,
    metadata=st.builds(ObjectMeta, name=names, labels=st.dictionaries(words, words)),
    spec=st.builds(NodeSpec, taints=st.lists(st.builds(Taint, key=words)).map(tuple)),
    status=st.builds(NodeStatus, conditions=conditions),
)
speakers = st.builds(
    Speaker,
    node=names,
    registration=st.builds(
        Registration,
        incarnation=numbers,
        ignores_exclude_label=st.booleans(),
        attachments=st.lists(
            st.builds(Attachment, segment=words, interface=words, address=words, mac=words, default_route=st.booleans())
        ).map(tuple),
    ),
)
advertisements = st.builds(
    L2Advertisement,
    metadata=metas,
    spec=st.builds(L2AdvertisementSpec, interfaces=st.tuples(words)),
    status=st.builds(L2AdvertisementStatus, pools=st.tuples(words)),
)
services = st.builds(
    ServiceClaim,
    namespace=words,
    name=words,
    uid=words,
    ports=st.lists(st.builds(ServicePort, port=numbers)).map(tuple),
)
allocations = st.builds(
    IPAllocation,
    metadata=metas,
    spec=st.builds(IPAllocationSpec, address=words, pool=words, services=st.lists(services).map(tuple)),
    status=st.builds(IPAllocationStatus, leader=words),
)
keys = st.builds(HeartbeatKey, st.integers(1, 255), st.binary(min_size=32, max_size=40))
snapshots = st.builds(
    Snapshot,
    cluster=words,
    node=words,
    incarnation=numbers,
    segments=st.lists(st.builds(Kept, segment=segments, silence=numbers), max_size=3).map(tuple),
    keys=st.lists(keys, max_size=2).map(tuple),
    nodes=st.lists(nodes, max_size=3).map(tuple),
    speakers=st.lists(speakers, max_size=3).map(tuple),
    advertisements=st.lists(advertisements, max_size=3).map(tuple),
    allocations=st.lists(allocations, max_size=5).map(tuple),
    backed=st.lists(
        st.builds(
            Backed, namespace=names, name=names, family=words, ready=st.tuples(words),
            leaving=st.lists(names).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
)  # fmt: skip

SAMPLE = Snapshot(
    cluster="c1",
    node="n1",
    incarnation=7,
    segments=(Kept(segment=Segment(metadata=ObjectMeta(name="lan", uid="u"), spec=SegmentSpec(version=3)), silence=5),),
    keys=(HeartbeatKey(2, b"k" * 32),),
    allocations=(
        IPAllocation(metadata=ObjectMeta(name="192.0.2.1"), spec=IPAllocationSpec(address="192.0.2.1", pool="p")),
    ),
)


def read(content: bytes) -> Snapshot:
    return snapshot.read(BytesIO(content))


def written(what: Snapshot) -> bytes:
    return b"".join(snapshot.write(what))


@settings(deadline=None)
@given(snapshots)
def test_what_is_written_comes_back(what: Snapshot) -> None:
    assert read(written(what)) == what


@settings(deadline=None)
@given(snapshots, st.data())
def test_what_is_cut_off_or_changed_anywhere_is_refused(what: Snapshot, data: st.DataObject) -> None:
    whole = written(what)
    cut = data.draw(st.integers(0, len(whole) - 2))  # without its last newline it is whole
    with pytest.raises(HostError, match="is cut off or spoiled"):
        read(whole[:cut])
    at, bit = data.draw(st.integers(0, len(whole) - 2)), data.draw(st.integers(0, 7))
    spoiled = whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :]
    with pytest.raises(HostError):
        read(spoiled)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise_anything_else(content: bytes) -> None:
    with pytest.raises(HostError, match="is cut off or spoiled"):
        read(content)


def test_only_what_a_restart_needs_of_nodes_and_speakers_is_written() -> None:
    condition = NodeCondition(type="MemoryPressure", status="False")
    node = Node(
        metadata=ObjectMeta(name="n1", annotations={"long": "x" * 10000}), status=NodeStatus(conditions=(condition,))
    )
    heard = Attachment(segment="lan", interface="eth0", address="192.0.2.1", mac="", hears=("n2",) * 1000)
    what = replace(SAMPLE, nodes=(node,), speakers=(Speaker(node="n1", registration=Registration(3, (heard,))),))
    content = written(what)
    assert len(content) < 1000
    (lease,) = read(content).leases()
    told = registration(lease)
    assert told is not None
    assert (told.attachments[0].address, told.attachments[0].hears) == ("192.0.2.1", ())


def test_another_format_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "FORMAT", 3)
    later = written(SAMPLE)
    monkeypatch.undo()
    with pytest.raises(HostError, match="has format 3, and this version reads 2"):
        read(later)


def test_what_is_no_text_is_told_in_one_sentence() -> None:
    spoiled = b"\xff\xfe" + written(SAMPLE)
    with pytest.raises(HostError, match="is cut off or spoiled"):
        read(spoiled)
    with pytest.raises(HostError, match="is cut off or spoiled"):
        read(b'["End","\xff"]\n')


def test_of_a_node_it_keeps_that_it_is_drained_and_no_other_annotation() -> None:
    annotations = {DRAIN_ANNOTATION: "soon", "long": "x" * 1000}
    drained = Node(metadata=ObjectMeta(name="n1", annotations=annotations))
    (kept,) = read(written(replace(SAMPLE, nodes=(drained,)))).nodes
    assert set(kept.metadata.annotations) == {DRAIN_ANNOTATION}


def test_endpoints_come_back_as_slices_that_come_to_the_same() -> None:
    four = Backed(namespace="shop", name="web", family="IPv4", ready=("n1", ""), leaving=("n2",))
    six = Backed(namespace="shop", name="web", family="IPv6", ready=("n1",))
    one, other = read(written(replace(SAMPLE, backed=(four, six)))).slices()
    assert one.metadata.labels == other.metadata.labels == {SERVICE_LABEL: "web"}
    assert (one.metadata.namespace, one.address_type, other.address_type) == ("shop", "IPv4", "IPv6")
    assert one.key != other.key
    assert of_slice(one) == Endpoints(frozenset({"n1", ""}), frozenset({"n2"}))
    assert of_slice(other) == Endpoints(frozenset({"n1"}))


def test_the_keys_are_not_printed() -> None:
    assert "k" * 8 not in repr(SAMPLE)


# --- the file


def test_it_is_made_for_us_alone_and_comes_back(tmp_path: Path) -> None:
    file = SnapshotFile(tmp_path / "made")
    assert file.load() is None
    file.save(SAMPLE)
    assert file.load() == SAMPLE
    path = tmp_path / "made" / files.NAME
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    file.save(replace(SAMPLE, incarnation=8))
    assert [each.name for each in path.parent.iterdir()] == [files.NAME]
    file.erase()
    assert file.load() is None
    file.erase()


def test_where_there_is_no_directory_there_is_nothing_to_erase(tmp_path: Path) -> None:
    SnapshotFile(tmp_path / "none").erase()
    (tmp_path / "file").touch()
    SnapshotFile(tmp_path / "file").erase()
    assert SnapshotFile(tmp_path / "file").load() is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_one_that_others_may_read_or_write_is_not_trusted(tmp_path: Path, mode: int) -> None:
    file = SnapshotFile(tmp_path)
    file.save(SAMPLE)
    (tmp_path / files.NAME).chmod(mode)
    with pytest.raises(HostError, match=f"has mode {mode:04o} and owner {os.geteuid()}: others may have read its keys"):
        file.load()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    SnapshotFile(tmp_path / "elsewhere").save(SAMPLE)
    (tmp_path / files.NAME).symlink_to(tmp_path / "elsewhere" / files.NAME)
    with pytest.raises(HostError, match="can't read the snapshot"):
        SnapshotFile(tmp_path).load()


def test_a_pipe_in_its_place_holds_up_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / files.NAME, 0o600)
    with pytest.raises(HostError, match="is no regular file"):
        SnapshotFile(tmp_path).load()


def test_one_that_is_too_large_is_neither_written_nor_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = SnapshotFile(tmp_path)
    file.save(SAMPLE)
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    with pytest.raises(HostError, match="is larger than 0 MiB"):
        file.load()
    with pytest.raises(HostError, match="would be larger than 0 MiB"):
        file.save(replace(SAMPLE, incarnation=8))
    monkeypatch.undo()
    assert file.load() == SAMPLE
    assert [each.name for each in tmp_path.iterdir()] == [files.NAME]


class Crash(BaseException):
    """Nothing of the process runs after it."""


def crashing(monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException) -> list[str]:
    """The system calls that a save makes; the one of this number fails, or is never made."""
    made: list[str] = []

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            made.append(name)
            if len(made) == at:
                raise error
            return call(*args, **kwargs)

        return step

    for name in ("open", "fsync", "replace", "unlink", "close"):
        monkeypatch.setattr(os, name, counted(name, getattr(os, name)))
    return made


@pytest.mark.parametrize("error", [Crash(), OSError(28, "No space left on device")], ids=["crash", "full"])
@pytest.mark.parametrize("at", range(1, 8))
def test_whatever_step_fails_the_old_one_or_the_new_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, error: BaseException
) -> None:
    file, new = SnapshotFile(tmp_path), replace(SAMPLE, incarnation=8)
    file.save(SAMPLE)
    made = crashing(monkeypatch, at, error)
    with pytest.raises((Crash, HostError)):
        file.save(new)
    monkeypatch.undo()
    found = file.load()
    assert found == (new if "replace" in made[: at - 1] else SAMPLE)
    file.save(new)  # what was left behind is no hindrance
    assert file.load() == new


def test_the_file_is_on_disk_before_it_takes_the_old_ones_place_and_its_name_before_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = crashing(monkeypatch, 0, Crash())
    SnapshotFile(tmp_path).save(SAMPLE)
    assert made == ["unlink", "open", "fsync", "replace", "open", "fsync", "close"]
    made.clear()
    SnapshotFile(tmp_path).erase()
    assert made == ["unlink", "open", "fsync", "close"]

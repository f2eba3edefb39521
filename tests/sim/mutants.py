"""What is taken away of each clause, and which story notices. ``clauses`` has the texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from lbprovider.wire.heartbeat import scope
from tests.sim.mutation import Change, Constant, Edit, Off

TRACE, SCENE = "tests.sim.traces", "tests.sim.scenes"
_ELECTION, _SPEAKER = "tests.unit.election.test_election_", "tests.unit.speaker.test_speaker_"
_ASKING, _TENURES = "election.asking:Asking", "election.tenures:Tenures"
_MEMBER, _MEMBERSHIP = "election.member:Member", "election.membership"


@dataclass(frozen=True)
class Mutant:
    """A clause, what is done to it, and the story ``module:name`` that must fail then, called with ``args``."""

    clause: str
    changes: tuple[Change, ...]
    story: str
    args: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.clause}-{self.story.rpartition(':')[2]}"


def _off(clause: str, *guards: str, by: str, where: str = TRACE) -> Mutant:
    return Mutant(clause, (Off(guards),), f"{where}:{by}")


def _edit(clause: str, where: str, old: str, new: str, by: str, **args: Any) -> Mutant:
    module, _, name = by.rpartition(":")
    return Mutant(clause, (Edit(where, old, new),), f"{module or SCENE}:{name}", args)


MUTANTS: Final[tuple[Mutant, ...]] = (
    _edit("R5.1", "wire.seal:unseal", "if not hmac.compare_digest(_mac(key, signed), datagram[-_MAC:]):", "if False:",
          f"{_SPEAKER}lan:test_what_is_not_signed_with_our_key_is_not_heard"),
    _off("R5.2", "r5_old_incarnation", by="former_lives_do_not_count", where=SCENE),
    _off("R5.3", "r5_newest_only", by="old_datagrams_do_not_count", where=SCENE),
    _off("R5.4", "r5_new_incarnation", by="new_life"),
    _edit("R5.5", f"{_MEMBER}._adopt_from", "beat.version <= segment.version", "True", "lists_of_peers_are_adopted"),
    _off("R5.6", "r5_named_hold", by="v10_named_hold"),
    _off("R5.7", "r5_longest_promise", by="v11_shrink"),
    _off("R5.8", "c4_contiguous", by="gap"),
    _off("R5.9", "r5_since", by="v4_tenure"),
    _off("R5.10", "r5_echoed_incarnation", by="v5_reboot"),
    _edit("R5.11", "election.evidence:Evidence.store", "echo.sent < before.sent", "False",
          f"{_ELECTION}evidence:test_an_older_echo_takes_nothing_back"),
    _off("R5.12", "r9_echoed_hold", by="v10_counted_hold"),
    _off("R5.13", "r9_epsilon", by="epsilon"),
    Mutant("R5.13", (Constant("election.evidence:EPSILON", 1),), f"{TRACE}:epsilon"),
    _off("R6.1", "r6_lapsed_grants", "r11_passed", by="v1_regrant"),
    _off("R6.2", "r6_lapsed_grants", by="v2_two_votes"),
    _edit("R6.3", f"{_MEMBER}._begin", "for peer in self._peers.lapse(self._now):", "for peer in ():",
          "grants_are_judged_when_a_promise_lapses"),
    _edit("R6.4", f"{_MEMBER}.may_answer", "return now < self._deadline(claim, now)", "return True",
          "the_stopped_answer_nothing"),
    _off("R7.1", "r7_silence", by="v12_silence"),
    _off("R7.2", "r7_quorum_read", by="v9_fresh"),
    _edit("R7.3", "election.vote:Vote.restore", "self.read = True", "pass",
          f"{_ELECTION}durable:test_all_come_back_from_their_snapshots_without_the_api_server"),
    _off("R7.4", "r15_durable", by="v9_write_lost"),
    _off("R7.5", "r7_durable", by="v12_longer_than_silence"),
    _off("R7.6", "r7_silence", by="the_silent_say_nothing", where=SCENE),
    _edit("R7.7", f"{_MEMBER}._hear", "if self._segment is None:", "if not self._vote.given or self._segment is None:",
          "the_silent_listen"),
    _off("R8.1", "r8_own_claim", by="two_askers"),
    _off("R8.2", "r8_one_holder", by="two_askers_one_voter"),
    _off("R8.3", "r8_every_holder", by="v7_third"),
    _edit("R8.4", f"{_MEMBER}._end", "self._post.tell.update(self._grants.judge(self._peers.live))",
          "self._post.tell.update(self._grants.judge(self._peers.live) if self._post.tell else ())",
          "grants_are_judged_when_a_promise_lapses"),
    _edit("R8.5", "election.grants:Grants.judge", "    changed = []\n", """    changed = []
    for node, granted in self._granted.items():
        for address in tuple(granted):
            if not self._may_grant(address, node, live):
                self._take_back(node, address)
                self._refused[node].add(address)
                changed.append(node)
""", "a_grant_stays_when_another_is_given"),
    _edit("R9.1", f"{_MEMBER}._mine", "return sent + self._evidence.shortened(segment.hold)", "return FOREVER",
          f"{_ELECTION}member:test_the_only_member_answers_at_once_and_as_long_as_it_lives"),
    _edit("R9.2", f"{_MEMBER}._mine", "if not self.votes(now):", "if False:",
          f"{_ELECTION}durable:test_what_is_owned_alone_is_lost_where_its_promise_outgrows_the_disk"),
    _off("R9.3", "r9_version", by="other_version"),
    _off("R9.4", "r9_since", by="v3_since"),
    _off("R9.5", "r9_refused", by="two_askers_one_voter"),
    _edit("R9.6", "election.evidence:Evidence._of_list", "expiries[members.need - 1]", "expiries[0]",
          f"{TRACE}:v10_named_hold"),
    _edit("R9.6", "election.evidence:Evidence._of_list", "expiries.sort(reverse=True)", "pass",
          f"{_ELECTION}evidence:test_the_deadline_is_the_need_th_largest_expiry"),
    _off("R9.7", "r9_every_list", by="every_list"),
    _off("R9.8", "r9_named", by="v6_move"),
    _edit("R10.1", f"{_MEMBER}.may_answer", "if now < claim.until and claim", "if claim", "the_stopped_answer_nothing"),
    _edit("R10.2", "election.claims:Claims.own", "self._record(claim.change())", "pass",
          "a_claim_is_told_when_it_is_owned"),
    _edit("R11.1", "election.claims:Claims.drop", "self._record(Change(claim.address, 0))", "pass",
          "a_dropped_address_is_free_at_once"),
    _edit("R11.2", "speaker.lan:Lan._step", "self.presence.lost(change, now)", "pass",
          f"{_SPEAKER}lan:test_on_losing_the_responder_is_first_to_know_and_the_others_hear_it_before_it_is_told"),
    _off("R11.3", "r11_give_up", by="askers_give_up", where=SCENE),
    _edit("R11.4", f"{_ASKING}.failed", "wait = _AGAIN_PERIODS[int.from_bytes(lot) % len(_AGAIN_PERIODS)]", "wait = 2",
          "two_that_collide_part"),
    _edit("R11.5", f"{_TENURES}.give_up", "if taken is not None and taken.owned:", "if False:",
          "a_move_is_over_when_the_successor_owns"),
    _off("R11.6", "r9_named", by="v6_move"),
    _edit("R11.7", f"{_TENURES}._hand_on", "self.drop(claim, LostReason.NO_SUCCESSOR)", "pass",
          f"{_ELECTION}member:test_an_address_that_is_no_longer_wished_is_lost_at_once"),
    _edit("R11.7", f"{_TENURES}.give_up", "if leaving or not self._asking.eligible(claim.address):", "if leaving:",
          f"{_ELECTION}member:test_an_address_that_is_no_longer_wished_is_lost_at_once"),
    _edit("R11.8", f"{_MEMBER}._end", "leaving=self._draining or not in_force", "leaving=not in_force",
          "a_drain_hands_all_on"),
    _edit("R11.9", f"{_MEMBER}._end", "leaving=self._draining or not in_force", "leaving=self._draining",
          "who_leaves_the_members_hands_all_on"),
    _edit("R11.10", "election.evidence:Evidence.refresh", "deadline = self._deadline(segment, mine, claim)",
          "deadline = NEVER if claim.address in contested else self._deadline(segment, mine, claim)",
          "a_refusal_is_no_reason_to_drop"),
    _edit("R12.1", "election.evidence:Evidence.connected_until", "return self._deadline(segment, mine, None)",
          "return 1 << 62", "the_cut_off_keep_quiet"),
    _off("R13.1", "r13_connected", by="the_cut_off_keep_quiet", where=SCENE),
    _edit("R13.2", f"{_MEMBER}._end", "self._candidate and in_force", "self._candidate",
          "who_is_not_in_force_never_asks"),
    _edit("R13.3", f"{_MEMBER}._end", "self._candidate and in_force", "in_force", "who_is_no_candidate_never_asks"),
    _edit("R13.3", f"{_MEMBER}._ask", "not self._draining and", "", "who_drains_never_asks"),
    _edit("R13.4", f"{_ASKING}.revise", "if mine or claimants or not self.eligible(address):", "if mine or claimants:",
          "who_is_not_eligible_never_asks"),
    _edit("R13.5", "election.peers:Peers.all_known", "all(peer.kv == peer.ver for peer in self.live.values())", "True",
          "who_lags_never_asks"),
    Mutant("R13.6", (
        Edit(f"{_ASKING}.revise", "if mine or claimants or", "if mine or"),
        Edit(f"{_MEMBER}._ask", "if self._grants.free_for(self._node, ask.address, self._peers.live):", "if True:"),
    ), f"{SCENE}:nobody_asks_for_what_is_claimed"),
    _off("R13.7", "r13_wait", by="the_first_of_the_ranking_takes_it", where=SCENE),
    _edit("R13.8", f"{_ASKING}.due", "max(free.since, able_since) + wait", "able_since + wait",
          "the_wait_begins_when_it_is_free"),
    _edit("R13.9", f"{_ASKING}.due", "max(free.since, able_since) + wait", "free.since + wait", "at_a_cold_start_too"),
    _edit("R13.10", f"{_ASKING}._before_me", "peer is not None and peer.candidate and node in in_force.members", "True",
          "the_dead_are_not_waited_for"),
    _edit("R13.11", f"{_ASKING}._before_me", "peer.candidate and ", "", "who_takes_nothing_is_not_waited_for"),
    _edit("R13.12", f"{_ASKING}.due", "in self._offered.items()", "in ()", "a_move_leaves_no_gap"),
    _off("R13.13", "r13_every_claimant", by="no_storm", where=SCENE),
    _edit("R14.1", f"{_TENURES}._hand_on", ' if claim.owned else ""', "", "nobody_is_named_before_it_is_owned"),
    _off("R14.2", "r14_once", by="v7_renamed"),
    _off("R14.3", "r14_no_third", by="nobody_is_named_while_another_claims", where=SCENE),
    _edit("R14.4", f"{_TENURES}._successor", "self._peers.live.get(node)", "self._peers.get(node)",
          "nobody_is_named_who_is_dead"),
    _edit("R14.5", f"{_TENURES}._successor", "peer.candidate and ", "", "nobody_is_named_who_takes_nothing"),
    _edit("R14.6", f"{_TENURES}._successor", " and node in segment.in_force.members", "",
          "nobody_is_named_who_is_not_in_force"),
    _edit("R14.7", f"{_TENURES}._hand_on", "self._name(claim, successor, segment, now)",
          "self.drop(claim, LostReason.NO_SUCCESSOR)", "a_move_leaves_no_gap"),
    _off("R15.1", "r15_settled", by="v8_report"),
    _edit("R15.2", f"{_MEMBER}._enter", "lower or segment.version == self._segment.version", "True",
          "watches_are_adopted_at_once"),
    _off("R15.3", "r15_never_lower", by="never_lower"),
    _edit("R16.1", f"{_MEMBERSHIP}:_grow", "if len(present.lists) > 1:", "if False:",
          f"{_ELECTION}membership:test_a_change_is_not_begun_before_the_last_is_over"),
    _edit("R16.2", "election.segment:grown", "majority(len(target))", "1",
          f"{_ELECTION}segment:test_growth_adds_a_list_and_clearing_drops_the_old_one"),
    _off("R17.1", "r17_every_list", by="v8_every_list"),
    _edit("R17.1", "election.settling:Settling.proposal", "if not enough or", "if True or",
          "the_old_list_goes_when_all_have_settled"),
    _edit("R17.2", "election.segment:cleared", "need=majority(len(last.members))", "need=last.need",
          f"{_ELECTION}segment:test_clearing_asks_for_a_majority_whatever_the_list_needed"),
    _edit("C1.1", f"{_MEMBER}._foreign", "beat.cluster != self._cluster", "False",
          f"{_ELECTION}member:test_what_is_not_for_us_is_ignored_and_counted",
          foreign={"cluster": scope("another")}, reason="OtherCluster"),
    _edit("C1.1", f"{_MEMBER}._foreign", "beat.segment != self._scope", "False",
          f"{_ELECTION}member:test_what_is_not_for_us_is_ignored_and_counted",
          foreign={"segment": scope("another")}, reason="OtherSegment"),
    _edit("C1.2", f"{_MEMBER}._foreign", "beat.node == self._node", "False",
          f"{_ELECTION}member:test_what_is_not_for_us_is_ignored_and_counted",
          foreign={"node": "a"}, reason="OwnDatagram"),
    _edit("C1.3", f"{_MEMBER}.adopt", "segment.uid != self._segment.uid", "False",
          f"{_ELECTION}member:test_a_new_segment_silences_the_node_until_old_promises_have_ended"),
    _edit("C1.4", "election.vote:Vote.restart", "self.given = self.read = False", "pass",
          f"{_ELECTION}member:test_a_new_segment_silences_the_node_until_old_promises_have_ended"),
    _edit("C1.5", f"{_MEMBER}._leave", "max(segment.hmax, promised - self._now)", "0",
          f"{_ELECTION}member:test_a_new_segment_waits_for_the_old_ones_hold"),
    _edit("C1.6", f"{_MEMBERSHIP}:_lost", "version=newest.version + 1", "version=present.version + 1",
          f"{_ELECTION}membership:test_after_a_restored_backup_the_speakers_version_goes_on"),
    _edit("C1.7", f"{_MEMBERSHIP}:_create", "MemberList((first,)", "MemberList(tuple(here)",
          f"{_ELECTION}membership:test_the_first_speaker_begins_alone"),
    _edit("C1.8", f"{_MEMBERSHIP}:_grow", "    if unheard:", "    if False:",
          f"{_ELECTION}membership:test_a_node_joins_only_if_a_majority_of_the_members_hear_it",
          hears={"a": "", "b": "", "c": "", "d": "abc"}, joins=False),
    _edit("C2.1", "speaker.app:Speaker._begin", "last = 0 if stored is None else stored.incarnation", "last = 0",
          f"{_SPEAKER}restoring:test_the_incarnation_is_higher_than_the_snapshots_where_the_lease_lost_it"),
    _edit("C3.1", "speaker.peers:Peers.heard", "self._addresses[node] = source",
          "self._addresses.setdefault(node, source)",
          f"{_SPEAKER}lan:test_a_peer_is_reached_where_its_last_signed_datagram_came_from"),
    _edit("C3.2", "speaker.lan:Lan._received", "if output.ignored:", "if False:",
          f"{_SPEAKER}traces_rules:test_a_recorded_datagram_moves_no_peer"),
    _edit("C4.1", "election.claims:Claims._version_for", "if self._open and (full or", "if self._open and (",
          f"{_ELECTION}claims:test_what_changes_in_one_step_is_cut_into_versions_that_fit"),
    _edit("C4.2", "election.parts:Parts.add", "if len(self._parts) < parts:", "if False:",
          f"{_ELECTION}segment:test_lists_travel_in_parts_that_fit", count=500),
    _edit("C4.3", "election.claims:Claims.after", "return None", "return ()",
          f"{_ELECTION}claims:test_nothing_claimed_is_a_full_state_too"),
    _edit("C4.4", "election.claims:Claims.refused", "if number <= version:", "if True:",
          f"{_ELECTION}claims:test_a_refusal_counts_with_a_version_that_is_still_being_written"),
    _edit("C4.5", "election.claims:Claims.refused", "if bits >> len(addresses):\n        return None",
          "if False:\n        return None",
          f"{_ELECTION}claims:test_a_refusal_that_can_not_be_understood_refuses_all"),
    _edit("C5.1", f"{_MEMBER}._mine", "now if segment.alone(self._node) else self._post.sent", "self._post.sent",
          f"{_ELECTION}member:test_the_only_member_answers_at_once_and_as_long_as_it_lives"),
    _edit("C5.2", "election.post:Post.due", "if a_round or self._news_told != self._claims.ver:", "if a_round:",
          "news_is_told_at_once"),
    _edit("C6.1", f"{_MEMBER}._head", "self._candidate and not self._draining", "self._candidate",
          f"{_ELECTION}member:test_a_drain_is_told_and_takes_nothing_new"),
    _edit("C6.2", f"{_TENURES}._hand_on", "ranking = self._asking.wishes.get(claim.address, ())",
          "ranking = sorted(self._peers.live)", "nobody_is_named_who_is_not_eligible"),
    _edit("C6.3", f"{_TENURES}.drop", "self.touched[claim.address] = WonReason.RELEASED, self._node", "pass",
          "a_move_to_nobody_ends_and_the_namer_may_ask_again"),
    Mutant("C7.1", (Constant("speaker.app:_DOWN", 0.2),),
           f"{_SPEAKER}traces_rules:test_an_api_server_that_answers_within_half_a_second_is_asked_whom_to_vote_with"),
    _edit("C7.2", "election.settling:Settling.settle", "2 * segment.hmax", "2 * segment.hold",
          f"{_ELECTION}evidence:test_a_version_has_settled_after_twice_the_longest_hold"),
    _edit("C7.2", "election.vote:Vote.silent_until", "segment.hmax", "segment.hold",
          f"{_ELECTION}member:test_between_two_lists_it_is_the_longer_hold_that_is_waited_for"),
    _edit("C8.1", f"{_MEMBERSHIP}:_grow", "sorted({*members, *heard})", "sorted({*members, *sorted(heard)[:1]})",
          f"{_ELECTION}membership:test_all_that_a_majority_hears_join_at_once"),
    _edit("C8.2", f"{_MEMBERSHIP}:_heard", "hearing >= majority(len(members))", "hearing >= 1",
          f"{_ELECTION}membership:test_a_node_joins_only_if_a_majority_of_the_members_hear_it",
          hears={"a": "d", "b": "", "c": "", "d": "abc"}, joins=False),
    Mutant("C8.3", (Constant("election.settling:STAGGER", 0),),
           f"{_ELECTION}evidence:test_a_second_member_gives_the_first_one_a_second"),
    _edit("C12.1", "wire.seal:unseal", "for key in keys if", "for key in tuple(keys)[:1] if",
          f"{_SPEAKER}lan:test_a_new_key_signs_once_every_live_peer_has_shown_it"),
    _edit("C12.2", "wire.seal:signing", "all(key_id == newest.id for key_id in held)", "True",
          "tests.unit.wire.test_heartbeat:test_the_new_key_signs_once_every_live_peer_has_it"),
    _edit("C12.3", "speaker.keys:Keyring.wait", "await self._there.wait()", "pass",
          f"{_SPEAKER}start:test_without_a_key_it_waits_and_says_so_and_an_unusable_one_is_none"),
)  # fmt: skip
"""(clause, change, story)."""

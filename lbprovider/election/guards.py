"""Every guard of the rules, each with a switch that only tests touch.

A rule that can be switched off without a test turning red is not tested (ELECTION.md section 5b). Nothing outside tests
constructs ``Guards`` with anything off; a Member takes ``ALL``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Guards:
    """True = the rule holds. The name says the rule of ELECTION.md; V1–V12 are the traces that its lack allows."""

    r5_newest_only: bool = True
    """A datagram that is not newer than the newest heard is ignored (duplicates, reordering)."""
    r5_old_incarnation: bool = True
    """A datagram of a former life is ignored."""
    r5_new_incarnation: bool = True
    """A new life starts from nothing: claims, grants and evidence of the former one are forgotten."""
    r5_longest_promise: bool = True
    """V11: a promise is never shortened by a later datagram."""
    r5_named_hold: bool = True
    """V10: a promise lasts as long as the datagram asked, not as long as the receiver thinks right."""
    r5_since: bool = True
    """V4: a grant is for one tenure; a claim with another ``since`` is judged anew."""
    r5_echoed_incarnation: bool = True
    """V5: an echo counts only for the life that it names."""
    r5_sent: bool = True
    """V5, once more: an echo of what was not sent yet is none."""
    r6_lapsed_grants: bool = True
    """V1, V2: a promise that ended takes its grants with it."""
    r7_silence: bool = True
    """V12: no vote before all promises of a former life have ended."""
    r7_quorum_read: bool = True
    """V9: no vote before the Segment was read with quorum in this life."""
    r7_durable: bool = True
    """No promise is longer than the silence that a later life will read from the snapshot on disk."""
    r8_own_claim: bool = True
    """What I claim I grant to nobody but the successor that I named."""
    r8_one_holder: bool = True
    """What a live peer holds I grant to nobody but the successor that it named."""
    r8_every_holder: bool = True
    """V7: *each* holder has to name the asker, not just one of them."""
    r9_echoed_hold: bool = True
    """V10: evidence lasts for the hold that the echo names."""
    r9_version: bool = True
    """Evidence of a voter that is in a newer Segment than mine doesn't count: it may count elsewhere."""
    r9_since: bool = True
    """V3: evidence counts only for claims that the voter knew when it gave it."""
    r9_refused: bool = True
    """Evidence doesn't count for what the voter refused."""
    r9_every_list: bool = True
    """A quorum is one of every list, not of the last only."""
    r9_named: bool = True
    """V6: who has named a successor stops after 2·hold, heard or not."""
    r9_epsilon: bool = True
    """Clocks run at different rates: an owner counts a little less than it was promised."""
    r11_passed: bool = True
    """V1, together with ``r6_lapsed_grants``: what the deadline has passed of is dropped, not kept for better days."""
    r11_give_up: bool = True
    """Who asks in vain drops the claim, or two askers refuse each other for ever."""
    r13_connected: bool = True
    """Who has no quorum at all doesn't ask, or a cut-off node writes a version each few periods."""
    r13_every_claimant: bool = True
    """Storm: nobody asks for what a live node claims, but for who is named by *every* claimant."""
    r13_wait: bool = True
    """Nodes ranked behind others wait, or the fastest takes everything."""
    r13_let_go: bool = True
    """Nobody waits for who has just let the address go: it has lost the quorum, and mostly ranks first."""
    r14_once: bool = True
    """V7: a naming is never taken back or changed."""
    r14_no_third: bool = True
    """V7: nobody is named while another live peer claims the address."""
    r15_settled: bool = True
    """V8: a version is reported only after 2·Hmax in it."""
    r15_durable: bool = True
    """V9 with a snapshot: a version is reported only when it is on disk."""
    r15_never_lower: bool = True
    """A lower version is never adopted."""
    r17_every_list: bool = True
    """The old lists go only when a quorum of every list has settled."""
    r18_not_connected: bool = True
    """Who has a quorum needs no witness."""
    r18_cold: bool = True
    """Boot: who never had a quorum gives the others ten seconds to come, or the first to boot evicts them."""
    r18_half: bool = True
    """Exactly half, not fewer: the other side may be a majority that serves."""
    r19_leases: bool = True
    """Fewer than half serve only once the Leases of *all* that are missing have stood still."""
    r19_contested: bool = True
    """V14: who serves without a quorum stops for what somebody else is heard to serve."""
    c9_sight: bool = True
    """The half that sees a neighbour goes first; the other one waits."""
    c9_others_see: bool = True
    """Who sees nobody doesn't serve while the other half sees somebody."""
    c10_slack: bool = True
    """Who goes takes itself off the list first, where the rest would have no vote to spare."""
    c1_elsewhere: bool = True
    """A Segment that was made anew begins only when nobody is heard any more who is in the deleted one."""
    c4_contiguous: bool = True
    """A change is applied only where nothing before it is missing."""


ALL: Final = Guards()

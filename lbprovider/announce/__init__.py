"""Layer 2: who answers what, and who is told unasked. Pure, sans-IO: frames in, frames out, time an argument.

Promises: an answer is given only for an address in the table of that interface, and only after the injected
``may_answer`` said yes at that very moment; an announcement is given only for an address that was won and not lost
since, at a bounded rate, first announcements before repeats; a probe claims nothing; another host's claim is defended
against at most every ten seconds. Memory is bounded by the number of addresses, never by what the LAN sends. Time is
nanoseconds of CLOCK_BOOTTIME.

Never decides who owns an address (``election/``), nor who is a member, nor what becomes of a conflict, and knows no
socket (``net/``).
"""

"""Who answers for an address: exactly one node of a Segment, or nobody. The rules are ELECTION.md's, by number.

Promises: at no instant may two Members of one Segment answer for one address, except while one hands it to the other
(rule 14), as long as clocks run at the same rate within 1 % and at most one life of a node is heard at a time. Each
input is one step, and a step's ``Output`` says all there is to do. Every decision carries its reason.

Never any I/O, clock or randomness: times come in as nanoseconds of CLOCK_BOOTTIME, datagrams and changes of the Segment
go out as values.

``member`` is the door for the speaker, ``membership`` for the controller, ``placement`` says which nodes may and should
announce an address; ``segment``, ``durable`` and ``outcome`` hold the values that pass through.
"""

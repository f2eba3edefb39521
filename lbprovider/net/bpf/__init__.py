"""The fast path: the kernel answers by itself for what this node owns, until the deadline that was given with it.

Promises: an answer is the one that ``announce.responder`` would give, byte for byte; nothing is answered at or past the
deadline, looked at in the program for each frame, so that a process that is stopped stops answering in time; what was
dropped is not answered when ``drop`` returns; a process that ends, however, takes its program away with it; a frame
that gets no answer goes on unchanged. Memory is bounded by ``kernel.CAPACITY``.

Never decides who owns an address or until when, never announces, and needs no compiler: the program is assembled here
(``assembler``, ``programs``) and loaded by bpf(2) (``syscalls``). ``port`` is what the speaker knows of all this,
``kernel`` does it, on ``maps``.

It is attached by tcx (Linux 6.6) and not by XDP: XDP in its generic form copies each frame of the interface into one
piece before the program sees it, those of the Services too, and in its native form makes some drivers set up their
rings anew, which takes the link down; tcx costs a few instructions on any interface, shows tcpdump question and answer,
and a link of it is closed with the process that made it.
"""

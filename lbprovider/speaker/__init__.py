"""The node agent: one process a node makes its node answer for the addresses that it owns, and for no others.

It promises: nothing is answered or announced that the election's rules don't allow at that very moment; what is lost
is out of the responder before anybody is told so, what is won is in it first; an address is announced only because
there is an IPAllocation of it, whatever a tenant writes; no step holds up the loop for more than some milliseconds;
one bad object, interface or peer never stops the others. On SIGTERM it hands its addresses on, answers until they are
taken, and gives its vote back where the others need that; it is given back what is its own when it returns.

It never decides who may have an address (``election``), nor which addresses there are (the controller), and waits for
the API server with nothing that is already running. Where it may keep a snapshot on the node, it doesn't wait to start
either: after 5 s without the API server it goes on from what it knew, and no member relies on what is not yet on disk.

``app`` boots and ends it, ``agent`` joins the parts: ``knowledge`` what the API server tells (``segments``, ``keys``,
and ``view``: all else, and what follows for each LAN), ``lan`` one LAN, ``attachments`` which LANs there are and what
is registered of them. ``chronicle`` passes on what happens there to ``reporter``, which writes who leads (``statuses``)
and why (``causes``), and ``telling`` tells it in Events; ``noticing`` looks at this node. ``presence`` is what a LAN
sees of it, in another one's place too (``standing``), ``fastpath`` what the kernel answers of that; ``leaving`` is its
end, ``succession`` how the next one waits for that, ``witnesses`` what the others' Leases say of those that it can't
hear, ``swapping`` what Members ask of the API server. ``keeper`` keeps the ``snapshot`` in ``files``. ``ports`` is what
all of it stands on.
"""

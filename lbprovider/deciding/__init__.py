"""What the controller would do: decisions over a whole cluster, and no writes. Pure: no clock, no I/O.

The rooms ``ipam`` (which address) and ``election`` (who may announce it) know one Service and one address each; here
they are put together over all that is known of a cluster, live or out of files::

    Known(services, namespaces, …)     the objects, as live mappings
    Book(ledger)                       who holds what, and what is counted beside it
    Placing(known, lans, …)            on which LAN and by which nodes an address is announced
    Conflicts(book.set_aside)          what something else on the LAN answers for
    Decisions(known, book, plan, …)    what a Service gets, shows and lets go; each decision is entered by ``plan``
    pool_status, advertisement_status  what pools and advertisements come to
    Rehearsal(known, allocations, …)   all of these put together over objects that nobody changes meanwhile
    announcement                       which nodes could announce an address, and why the others could not

The controller, ``lbprovider plan`` and ``lbprovider explain`` ask the same code; the controller writes what it says.

Promises: equal input gives equal output; nothing is remembered but what is in the book and the objects.
"""

"""Which Service gets which address, and why. Pure: no clock, no I/O; the same input gives the same output.

The path of a decision::

    PoolSet.of(pools)                       what the admin offers; a bad pool is left out, with its reason
    Ledger(pools).put(spec) …               who holds what: the IPAllocations, nothing else
    request_of(service, namespace labels)   what a Service asks for
    assign(request, ledger)                 Assigned or Refused: what to take, keep and let go
    joined(…), left(…), set_aside(…)        what the IPAllocations then say

Promises: an address is given only where a pool covers it now, excludes and buggy addresses left out, and nobody else
holds it, except where all holders may share it. A live address is kept as long as any spec allows it, and longer where
only an edit of a pool took it away (``Stranded``). A request that can't be met takes nothing away. Every answer
carries its reason (``reasons``, a closed list). One bad pool or Service never stops the others. What it costs to assign
and release doesn't grow with the addresses held; ranges are never enumerated.

Never writes: ``assign`` doesn't change the ledger. The caller writes the IPAllocation first and puts into the ledger
what the API server accepted.
"""

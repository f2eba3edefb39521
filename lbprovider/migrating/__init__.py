"""From MetalLB to lbprovider, without any Service's address changing: what it comes to, and the way there.

::

    sources     what MetalLB was told, out of files or a cluster; configmap: MetalLB up to 0.12
    carrying    that as IPAddressPools and L2Advertisements of ours, and what is lost or different
    outlook     what each Service would have then: the controller's own code over it (``deciding``)
    files       these three for files; showing: the same for people and for kubectl apply
    looking     these three for a cluster
    migration   the steps, each of which can be done again and undone
    handover    the one that matters: MetalLB's speakers stop, then ours begin; groups: in which parts
    workloads   programs switched off and on, known to be gone by their Pods; shutting: an L2Advertisement that waits
    waiting     until the API server says so; kinds: what only this room reads

Promises: nothing is begun when a Service would lose an address or get another. Of MetalLB's speakers and ours, at no
time may both announce a pool: ours are opened only when MetalLB's have said that they stopped, or have ended. Each step
is written on the objects, so that a second run goes on where a first one ended, whatever ended it.

Never deletes anything, never writes a Service, and never changes MetalLB's objects but in the fields that its
annotations (``lbprovider.io/migrate…``) then hold the former values of.

Why not one node after the other: MetalLB elects among its speakers and we among ours, each address by itself. With the
speakers of a node exchanged, an address would be answered by MetalLB on one node and by us on another; and each speaker
that MetalLB loses moves addresses among the others, with two of them answering for 0.2 s (docs/migrating.md).
"""

"""The kernel: clock, interfaces, frames, multicast groups, datagrams; ``bpf``: a program in it that answers.

Promises: nothing here blocks the event loop, and no wake-up handles more than a bounded batch; what the LAN or the
kernel does to a send is counted, never raised; what this node can't do at all is one :class:`HostError` at opening.
Only this package imports ``socket`` and ``pyroute2``.

It never decides anything: who answers is ``announce/``, who may is ``election/``. Every port is a Protocol that the
speaker gets injected (``Links``, ``Packets``, ``Groups``, ``Datagrams``, ``FastPath``, ``Clock``), so its tests run
without a kernel. What the lab and the end-to-end tests need of the kernel (``namespaces``, ``tap``, ``nftables``) lives
here too.
"""

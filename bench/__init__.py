"""Measurements that take too long, or need too quiet a machine, to be tests: each prints a table, and says how loaded
the machine was.

Promises: what is compared is measured in one run, and is told as a ratio too; nothing of the machine is touched, for
all of it is in network namespaces (``lbprovider.lab``). What the figures were, and what they mean, is in
docs/performance.md.

Never a verdict on a time alone, except where a promise is one: the soak fails on a false failover, allocations on a
cost that grows.

``python -m bench.soak`` speakers beside processor hogs · ``bench.load`` one speaker's CPU and lag, idle and under
foreign ARP · ``bench.answers`` how many questions it answers · ``bench.allocations`` an address given and freed, with
few and with many held · ``bench.metallb`` faults, beside MetalLB (root).
"""

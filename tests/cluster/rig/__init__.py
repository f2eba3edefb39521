"""What the cluster's tests do and see: kubectl, workloads, lbprovider itself, clients, and a judge of what they saw.

Promises: nothing but the backends' port, kubectl and HTTP is used, so one suite runs on every backend. Never a wait of
so many seconds: only for conditions, with a bound.

Modules: ``kubectl`` · ``workloads`` what stands behind Services · ``provider`` lbprovider as it is installed · ``web``
three Services and all who ask them · ``power`` nodes that die · ``whole`` whether anything is missing · ``asker``,
``caller`` the programs of clients, which use Python's standard library alone · ``asking``, ``traffic`` start them ·
``judge`` what their connections came to · ``sampling`` what is to be seen again · ``evidence`` what is shown of a
failure.
"""

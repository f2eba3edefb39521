"""What the cluster's tests do and see: kubectl, workloads, lbprovider itself, clients, and a judge of what they saw.

Promises: nothing but the backends' port, kubectl and HTTP is used, so one suite runs on every backend. Never a wait of
so many seconds: only for conditions, with a bound.

Modules: ``kubectl`` · ``workloads`` what stands behind Services · ``provider`` lbprovider as it is installed ·
``power`` nodes that die · ``asker``, ``caller`` the programs of clients, which use Python's standard library alone ·
``asking``, ``traffic`` start them · ``judge`` what their connections came to · ``evidence`` what is shown of a failure.
"""

"""What the cluster's tests do and see: kubectl, workloads, lbprovider itself, and clients.

Promises: nothing but the backends' port, kubectl and HTTP is used, so one suite runs on every backend. Never a wait of
so many seconds: only for conditions, with a bound.

Modules: ``kubectl`` · ``workloads`` what stands behind Services · ``provider`` lbprovider as it is installed · ``web``
three Services and all who ask them · ``power`` nodes that die · ``whole`` whether anything is missing · ``asker``
the program of a client, which uses Python's standard library alone · ``asking`` starts it · ``sampling`` what is to be
seen again · ``evidence`` what is shown of a failure. Clients that go on calling are tests/e2e's: ``traffic`` starts
them, ``calls`` judges what their connections came to.
"""

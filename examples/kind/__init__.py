"""lbprovider on a machine with docker, kind and kubectl: ``python3 -m examples.kind up``, and ``down``.

It needs Python 3.11 or later and its standard library alone. It touches one cluster of kind's, by its own name, and
writes one file of the user's, its own kubeconfig; every other cluster and context stays as it is. What was made stays
when something fails or is interrupted: the same command goes on from there, and only ``down`` takes it away.
"""

"""An embedded Kubernetes API server, for the lab: in one process, with its objects in one file.

It promises what our programs and an ordinary kubectl rely on, as a kube-apiserver does: optimistic concurrency by
resourceVersion, lists in pages, watches from a version with bookmarks and 410, the three common patches, the status
subresource, CRDs with structural schemas, RBAC, discovery, server-side tables; ``tests/contract`` holds it to that and
runs the same tests on a real one. It is no place for a cluster: no Pods run, nothing is replicated, and what neither
our programs nor kubectl's everyday commands ask for is not there.
"""

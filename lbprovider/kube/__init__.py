"""The API server, and nothing else in lbprovider talks to it.

It promises:

- One transport (``client.Client``, plain aiohttp) for controller, speaker and command line; callers see the port in
  ``ports.Api`` and so can be tested without a server.
- Every failure is one of ``errors.ClusterError`` (or ``UsageError`` for a kubeconfig, ``InvalidObject`` for an object
  that can't be decoded), with a sentence that a cluster admin can act on. Nothing of aiohttp, ssl, asyncio or msgspec
  gets out.
- One object that can't be read is named and passed by; the others arrive.
- Leadership and liveness are judged by the own monotonic clock since the last *observed* change; no two machines'
  clocks are compared.
- Everything that waits for the API server does so with backoff and jitter, for days if need be.

It never retries a write (the caller knows whether it is still wanted), never decides what is written, and never lets
an Event's failure reach whoever reported it.

Modules: ``ports`` what requests look like to others · ``passing`` all of them on to another server · ``access`` who we
are to which server · ``client`` requests · ``answers`` what their answers mean · ``backoff`` how long to wait ·
``reflector`` list, watch, and again · ``lease`` leadership · ``node_lease`` the speaker's own Lease · ``events``
Kubernetes Events · ``patches`` bodies of status patches, None where nothing would change · ``clocks``.
"""

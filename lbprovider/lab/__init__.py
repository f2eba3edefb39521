"""A whole cluster on one machine without root: a LAN, an API server, nodes, the real programs, and eyes on all of it.

Promises: everything is in network namespaces of its own, so nothing of the machine is touched and two labs never
meet; nothing survives the process that made it but names, and those the next lab sweeps. What was seen on the LAN
carries the kernel's time and is judged by pure functions (``judge``), which share no code with what they judge.

Never anything of the speaker or the controller: they run here as the real programs, with the rights of their
manifests.

Modules: ``sandbox``, ``preflight``, ``running`` the namespaces, whether they are allowed, and who enters them · ``lan``
the network · ``apiserver`` a Kubernetes API · ``node``, ``webserver`` what stands behind Services · ``provider``
lbprovider itself · ``cluster`` all of it together · ``admin``, ``objects`` what the lab asks of its API ·
``prober``, ``capture``, ``eyes``, ``visitor`` what is seen · ``judge``, ``findings`` what that means · ``arrival``,
``story``, ``keep``, ``telling`` what its users see.
"""

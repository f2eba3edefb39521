"""The failure matrix: one fault each, done to a lab, and what a client saw of it, set against a target.

Promises: every figure is what somebody on the LAN saw (``eyes``), never what a speaker says of itself; the worst
sample counts; a sample for which the prober itself was late is void, said so, and taken again. A trial that fails or
breaks its lab stops no other. Nothing needs more than the lab does: Linux, no root.

Never a verdict in here but in ``verdicts``, and never a figure but in ``figures``: both are pure.

Modules: ``target`` what should be seen · ``figures`` what was · ``verdicts`` the one set against the other · ``stage``
what a trial acts on · ``speakers``, ``cables``, ``halves``, ``control``, ``changes``, ``crowd`` the trials · ``table``
all of them by name · ``runner`` the labs that they share · ``telling`` the table and the JSON.
"""

"""The controller: gives Services of type LoadBalancer their addresses, and keeps Segments. An application over kopf.

It promises:

- An address that a Service's status shows has an IPAllocation that names the Service; the IPAllocation is written first
  and let go last. Two controllers at once, leaders or not, never give one address twice: the API server refuses the
  second IPAllocation, and whoever was slower learns from it and chooses again.
- So whatever a status shows, at any moment, an IPAllocation gives to that Service (``agreeing`` has the proof).
- After a start everything is listed and adopted before anything is given; a crash between any two writes heals so.
- Whoever lost the Lease stops writing by its own clock, before another can hold it.
- A Service is written to when something differs, with at most two writes for a new one; one that never was ours is
  never touched. Conditions and Events tell of changes, once, with the reasons of ``ipam.reasons``.
- An address that another host on the LAN answers for before it was ever announced is set aside and replaced, a few
  times a Service; one that was announced, adopted or asked for never is. All of that is read from the objects.
- One object that can't be read, or a write that fails, is named and tried again; the others go on.

It never adds a finalizer, never announces, and never asks how an address is announced.

What a Service gets is decided in the room ``deciding``, which ``lbprovider plan`` and ``explain`` ask too.

From the outside in: ``app`` the process · ``startup`` what must be there · ``leading`` one term, and how all parts hang
together · ``watching`` kopf · ``sweeping`` what watches lose · ``inventory`` what is known · ``services``
``allocations`` from a Service to its writes · ``agreeing`` what several controllers may do to one Service · ``foreign``
who else writes its status · ``freeing`` ``writer`` who is next · ``pools`` ``speakers`` ``segments`` where addresses
come from and where they are announced · ``announcing`` what nobody may announce · ``webhook`` what is refused before it
is stored · ``guard`` ``tasks`` small tools.
"""

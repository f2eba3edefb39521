"""Bytes of the LAN: Ethernet, ARP, Neighbor Discovery, heartbeats. Pure codecs.

Promises: whatever the bytes are, parsing gives a frozen value or raises :class:`~lbprovider.errors.WireError` with a
CamelCase reason, and nothing else; what is built is a whole frame, without padding (drivers pad). Addresses are
packed bytes (4 or 16), hardware addresses 6 bytes, in and out.

Never any I/O, clock or state.
"""

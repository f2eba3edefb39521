"""A LAN on one machine, and eyes on it.

Promises: everything is in network namespaces of its own, so nothing of the machine is touched and two labs never
meet; nothing survives the process that made it but names, and those the next lab sweeps. What was seen on the LAN
carries the kernel's time and is judged by pure functions (``judge``), which share no code with what they judge.

Never anything of the speaker or the controller: they run here as the real programs.
"""

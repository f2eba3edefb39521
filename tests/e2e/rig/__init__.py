"""The rig: a real control plane, a LAN of namespaces, and everything that a test needs to do to them."""

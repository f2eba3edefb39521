"""Who answers for an address, as a client on the LAN and the switch see it, and what is to be said of that."""

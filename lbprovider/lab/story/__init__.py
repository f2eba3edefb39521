"""What the lab shows: Services that arrive, faults and what a client saw of them, and the verdict on each."""

"""Who asks, and may they: tokens, RBAC, acting as another user, and the reviews that answer such questions."""

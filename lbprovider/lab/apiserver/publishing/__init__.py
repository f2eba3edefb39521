"""What the server says of itself: discovery, OpenAPI, and in which form it answers."""

"""Lists in pages, watches, and the selectors of both."""

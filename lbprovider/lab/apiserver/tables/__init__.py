"""What ``kubectl get`` shows, cell by cell, for built-in kinds and by the printer columns of custom ones."""

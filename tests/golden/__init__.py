"""Numbers of a small model and a small task that every release must give, and the list of code digests that do."""

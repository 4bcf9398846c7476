"""Data sets: readers of the real formats, and an embedded world drawn in the same formats."""

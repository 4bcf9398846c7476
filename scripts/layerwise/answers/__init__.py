"""What a model says: how probable its answers are in every layer, and what it writes."""

"""Whether a model uses what probes find: concepts that are erased from its states, or along which they are steered."""

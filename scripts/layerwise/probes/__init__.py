"""Linear probes on hidden states: fits, scores, and how sure we are of them."""

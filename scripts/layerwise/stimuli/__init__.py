"""What the models are shown (items), and what is asked of their hidden states (tasks)."""

"""Tasks: labels and splits over stimuli."""

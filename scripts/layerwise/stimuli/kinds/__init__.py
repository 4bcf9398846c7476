"""The kinds of stimuli, a module each."""

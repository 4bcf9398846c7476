"""Hidden states: running a frozen model over stimuli, and the files that keep what it computed."""

"""Models that run by their authors' own code: what their files say, the code itself, and its clone."""

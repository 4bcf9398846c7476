"""Sequences of frames: what changed first, what moved, which way, and what made it move.

Objects stand on the ring of the twelve cells at the border of the grid. On a line, an object at the outermost place
can only have come from one side, and a single frame gives the direction away; on a ring no place is special.
Sequences come in matched pairs. ``docs/method.md`` says what the frames one by one, or in random order, tell of each.
"""

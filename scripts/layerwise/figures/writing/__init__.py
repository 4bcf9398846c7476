"""How tables are written: their sections, the words for numbers, and the four formats."""

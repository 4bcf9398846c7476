"""What the small models of a study show over their seeds: one table of numbers, and a document made from it alone."""

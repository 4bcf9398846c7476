"""Features of pictures: what a decoder gets of them from its vision tower, before any block."""

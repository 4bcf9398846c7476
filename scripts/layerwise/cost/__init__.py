"""What a study will cost: tokens, bytes, hours."""

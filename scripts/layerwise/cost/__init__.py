"""What a study will cost, told before anyone pays: tokens, bytes, hours."""

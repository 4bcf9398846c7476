"""What models say, read off their states."""

"""What layers are like."""

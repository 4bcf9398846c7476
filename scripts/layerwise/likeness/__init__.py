"""What layers are like: how large their states are and in which directions, and how alike layers and models are."""

"""Ways of pooling the states that a vision block gives. No torch, for readers of states."""

# The mean over the patches, and the token that stands for the whole picture.
PATCH_MEAN, CLASS_TOKEN = "patch-mean", "class-token"

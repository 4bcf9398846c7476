"""The patch lens: where in a picture a model's output head reads the word for an object, layer by layer."""

"""How a model's answer is read, and the kinds of items by what is known and said: values of columns of comparisons."""

# The most probable class; the same with offsets that validation chose; the class in the text that the model wrote.
SAID, THRESHOLD, WRITTEN = "as said", "threshold", "written"

# By whether the probe and the model are right.
SHARES = ("known and said", "known, not said", "said, not known", "neither")

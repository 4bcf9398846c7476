"""A made-up study of any size: the files that the page is made from.

Its numbers mean nothing, but they look like those of a study. A trained model knows something from some block on, its
untrained twin knows nothing, and the text alone tells a little. Every table has the columns of the real one.
"""

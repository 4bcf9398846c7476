"""The page one plays with, ``results/explore/index.html``: answers, charts, pictures and tables that follow one choice.

One file that needs neither a server nor a network.
"""

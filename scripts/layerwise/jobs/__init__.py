"""How a job starts, waits, fails, writes its files and finds finished ones. Nothing here decides a number.

No code digest covers this package (:data:`layerwise.code_digest.LEFT_OUT`), so an edit here makes nothing stale. It
imports no stage and no library that computes.
"""

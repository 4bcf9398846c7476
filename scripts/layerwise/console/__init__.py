"""The command ``layerwise``: one module a subcommand. :mod:`layerwise.console.commands` lists them.

Subcommands are thin. They ask what the workflow and its programs ask too, so that they agree with a run.
"""

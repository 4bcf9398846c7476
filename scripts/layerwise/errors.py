"""The one error that a user can mend."""


class InputError(ValueError):
    """Something that the user gave is wrong: the message names the file, the row or key, and the fix.

    Scripts print it without a traceback (see :func:`layerwise.jobs.command.run`); anything else is a defect of
    ours and keeps its traceback.
    """

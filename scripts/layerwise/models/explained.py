"""Turn errors of the libraries that run a model into one line: what was being done, what went wrong, and where."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from layerwise.errors import InputError
from layerwise.models.memory import lacking_memory

# Longer messages are cut off: their beginning says what is wrong.
LONGEST = 300


@contextmanager
def explained(doing: str, fix: str = "") -> Iterator[None]:
    """Turn what another library raises into an error that a user can act on.

    Only for calls of a family's own code (its configuration, processor and model), which may raise anything. Errors
    about lacking memory pass through, because smaller batches fix them.

    Args:
        doing: what was being done, with names: how the message begins.
        fix: how it ends.

    Raises:
        InputError: in place of any other exception.
    """
    try:
        yield
    except (InputError, FloatingPointError):
        raise
    except Exception as error:
        if lacking_memory(error) is not None:
            raise
        raise InputError(f"{doing}: {said_by(error)}{f'; {fix}' if fix else ''}") from error


def said_by(error: BaseException) -> str:
    """An exception's class, message and place in one line."""
    message = " ".join(str(error).split())
    if len(message) > LONGEST:
        message = f"{message[:LONGEST]}..."
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {message} ({Path(place.filename).name}, line {place.lineno})"

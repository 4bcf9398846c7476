"""Take GPUs, called cards, for a job on a machine where no scheduler assigns them.

Snakemake counts GPUs (``--resources gpu=4``) but does not say which of them a job may use. So a job locks a free one.
The lock ends with its process, however that ends.
"""

import fcntl
import logging
import os
import shutil
import subprocess
import time
from pathlib import Path

from layerwise.errors import InputError

log = logging.getLogger(__name__)

# One place for all users and jobs of the machine. Not TMPDIR, which may be private to a job.
LOCKS = Path("/tmp/layerwise-cards")
SECONDS_BETWEEN_TRIES = 1.0

# Set for their jobs by Slurm, LSF, PBS and Grid Engine.
SCHEDULERS = ("SLURM_JOB_ID", "LSB_JOBID", "PBS_JOBID", "JOB_ID")

# These open files hold the locks until the process ends.
_held: list[int] = []


def take_cards(count: int, wait: bool = True, locks: Path = LOCKS) -> list[str]:
    """Lock free GPUs for this process and hide all others. Call it before CUDA is initialised.

    Does nothing on a machine without GPUs, or if a scheduler assigns them in ``CUDA_VISIBLE_DEVICES``. If the user sets
    that variable, only those GPUs are taken. They are locked too, because two jobs of one user must not share a GPU.

    Args:
        count: how many.
        wait: whether to wait for free GPUs. Without waiting, all GPUs are hidden if too few are free, or if a scheduler
            assigned none.
        locks: folder for the locks.

    Returns:
        The UUIDs of the GPUs that were taken.

    Raises:
        InputError: when the machine has too few, they cannot be listed, or the user names one that does not exist.
    """
    visible, scheduled = os.environ.get("CUDA_VISIBLE_DEVICES"), any(name in os.environ for name in SCHEDULERS)
    if visible is not None and (scheduled or visible.strip() in ("", "-1")):
        log.info("CUDA_VISIBLE_DEVICES gives the cards: %s", visible or "none")
        return []
    cards = list_cards()
    if not cards:
        return []
    if visible is not None:
        cards = [_named(card.strip(), cards) for card in visible.split(",")]
    if len(cards) < count:
        where = "this machine has" if visible is None else f"CUDA_VISIBLE_DEVICES={visible} shows"
        raise InputError(f"the model asks for {count} cards (models.NAME.cards), but {where} {len(cards)}")
    taken: list[str] = []
    if wait or not scheduled:
        taken = _take(cards, count, locks)
        if not taken and wait:
            log.info("waiting for %d of %d cards to become free", count, len(cards))
        while not taken and wait:
            time.sleep(SECONDS_BETWEEN_TRIES)
            taken = _take(cards, count, locks)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
    log.info("took cards: %s", ", ".join(taken) or "none")
    return taken


def list_cards() -> list[str]:
    """UUIDs of the machine's NVIDIA GPUs; none without a driver.

    Raises:
        InputError: when ``nvidia-smi`` exists and fails.
    """
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode:
        said = (listed.stdout + listed.stderr).strip()
        raise InputError(
            f"{' '.join(command)} failed ({said}); repair the driver, or set CUDA_VISIBLE_DEVICES to the cards to use, "
            "or to nothing"
        )
    return listed.stdout.split()


def _named(name: str, cards: list[str]) -> str:
    """The GPU that an entry of ``CUDA_VISIBLE_DEVICES`` names: a number, the start of a UUID, or a MIG slice."""
    if name.startswith("MIG-"):
        return name
    found = [
        card for number, card in enumerate(cards) if name == str(number) or (len(name) > 4 and card.startswith(name))
    ]
    if len(found) != 1:
        raise InputError(
            f"CUDA_VISIBLE_DEVICES names {name!r}, but nvidia-smi lists cards 0 to {len(cards) - 1} "
            f"({', '.join(cards)})"
        )
    return found[0]


def _take(cards: list[str], count: int, locks: Path) -> list[str]:
    """Take all or none, so that two jobs never wait for each other."""
    taken: dict[str, int] = {}
    for card in cards:
        descriptor = _open(locks, card)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        taken[card] = descriptor
        if len(taken) == count:
            _held.extend(taken.values())
            return list(taken)
    for descriptor in taken.values():
        os.close(descriptor)
    return []


def _open(locks: Path, card: str) -> int:
    """Open the lock file of a GPU, which any user may open and nobody needs to write."""
    file = locks / f"{card.replace('/', '-')}.lock"
    try:
        return os.open(file, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        locks.mkdir(exist_ok=True)
        # Sticky: other users' jobs add their locks here but cannot remove ours. Only the owner may set this.
        if locks.stat().st_uid == os.getuid():
            locks.chmod(0o1777)
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CREAT, 0o444)
        os.fchmod(descriptor, 0o444)
        return descriptor

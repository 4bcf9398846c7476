"""The processes of the tools, in their environments."""

import json
import os
import subprocess
from pathlib import Path

from ways import Way

from layerwise.errors import InputError

HERE = Path(__file__).resolve().parent


class Runner:
    """A tool's process, which extracts whenever it is told to."""

    def __init__(self, python: Path, way: Way, folder: Path, model: str, threads: int, source: Path | None):
        self.states, self.log = folder / "states.safetensors", folder / "log.txt"
        command = [python, HERE / f"run_{way.tool}.py", "--model", model, "--inputs", folder.parent / "inputs.json"]
        command += ["--states", self.states, "--threads", threads, "--batch", way.batch, "--work", folder]
        command += ["--source", source] if source else []
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(threads),
            )

    def answer(self) -> dict[str, float]:
        """The next line.

        Raises:
            InputError: when the process has ended, with the last line of its log.
        """
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            lines = self.log.read_text().strip().splitlines() or ["it ended without a word"]
            raise InputError(lines[-1])
        return json.loads(line)

    def extract(self) -> dict[str, float]:
        """Let it extract all states, and return what that cost."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> None:
        """Let the process end by itself."""
        self.process.stdin.close()
        self.process.wait()


def environment(threads: int) -> dict[str, str]:
    """The variables of every process: as many threads as it is allowed, and no network."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return kept | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def checked(command: list[str], threads: int) -> str:
    """Run to the end and return what it printed.

    Raises:
        InputError: when it fails.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(threads))
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise InputError(f"{Path(command[1]).name} failed: {lines[-1]}")
    return done.stdout

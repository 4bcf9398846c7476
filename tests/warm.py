"""A Python for tests that start many programs: each is forked from a process that has imported the large packages.

Importing them takes a program one to three seconds, often longer than its work. So a server imports them once, and
``python`` in its folder asks it for a fork, which reads the project's own code, works in its own folder and
environment, and ends like any program. Programs that tests kill start from nothing, and so do all those of
tests/legacy, tests/slurm, test_hostile.py and test_demo.py.
"""

import atexit
import gc
import json
import os
import pkgutil
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# Isolated, so that it starts in no time.
PYTHON = """\
#!/bin/sh
exec {python} -IS {client} "$@"
"""
# Stands for a program until it ends, with its exit status and its signals.
CLIENT = """\
import json, os, signal, socket, sys
# The hub's client reads where the hub is when it is imported.
if not sys.argv[1:2] or not (sys.argv[1] == "-m" or sys.argv[1].endswith(".py")) or "download_hub" in sys.argv[1]:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
request = json.dumps([{stand_in!r}, sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
server.sendall(request)
answers = server.makefile()
program = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: os.kill(program, number))
code = int(answers.readline())
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@contextmanager
def warm_python(folder: Path) -> Iterator[str]:
    """The path of a ``python`` that forks programs, as long as the context lasts; on Linux, and this one elsewhere."""
    if sys.platform != "linux":
        yield sys.executable
        return
    address, client, python = folder / "socket", folder / "client.py", folder / "python"
    client.write_text(CLIENT.format(python=sys.executable, address=str(address), stand_in=str(python)))
    python.write_text(PYTHON.format(python=shlex.quote(sys.executable), client=shlex.quote(str(client))))
    python.chmod(0o755)
    # Jobs are offline before they import anything, and here it is imported before.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("COV_", "COVERAGE_"))}
    environment |= {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY / "scripts")}
    # As the workflow has it: OpenMP reads it once, when torch is imported. Threads that spin would stop each other.
    environment["OMP_WAIT_POLICY"] = "PASSIVE"
    command = [sys.executable, str(Path(__file__)), str(address)]
    with (
        open(folder / "server.log", "w") as log,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        ) as server,
    ):
        if server.stdout.readline() != b"ready\n":
            raise AssertionError((folder / "server.log").read_text())
        yield str(python)
        server.stdin.close()


def import_what_others_wrote() -> None:
    """Import all that the project imports, and forget what is the project's: programs read it where they lie."""
    import transformers

    import layerwise

    for name in ("snakemake.cli", "snakemake.scheduling.job_scheduler"):
        import_module(name)
    for module in pkgutil.walk_packages(layerwise.__path__, "layerwise."):
        if ".adapters." not in module.name:
            import_module(module.name)
    # What transformers imports when it is first asked for.
    for name in ("AutoModelForImageTextToText", "AutoProcessor", "LlavaForConditionalGeneration", "LlavaProcessor"):
        getattr(transformers, name)
    for name in [name for name in sys.modules if name.split(".")[0] == "layerwise"]:
        del sys.modules[name]
    sys.path.remove(str(REPOSITORY / "scripts"))


def fork_programs(address: str) -> tuple:
    """Answer requests until the tests end; in a fork, return what it is to run."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        print("ready", flush=True)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                sys.exit()
            connection, _ = listener.accept()
            if os.fork() == 0:
                break
            connection.close()
    size, files, _, _ = socket.recv_fds(connection, 8, 3)
    with connection.makefile("rb") as rest:
        request = json.loads(rest.read(int.from_bytes(size, "big")))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    program = os.fork()
    if program:
        _attend(program, connection)
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    return request


def _attend(program: int, connection: socket.socket) -> None:
    """Tell a client which process its program is and how that ended, or end the program with the client."""
    ended = os.pidfd_open(program)
    try:
        connection.sendall(f"{program}\n".encode())
        ready, _, _ = select.select([ended, connection], [], [])
    except BrokenPipeError:
        # The client was killed before it heard of its program.
        ready = []
    if ended not in ready:
        os.kill(program, signal.SIGKILL)
    _, status = os.waitpid(program, 0)
    if ended in ready:
        connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def run(python: str, arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be the program that a client stands for."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # What it starts in turn is forked, too.
    sys.executable = python
    if arguments[0] == "-m":
        sys.argv, sys.path[0] = arguments[1:], folder
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = arguments, str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")


def exit_status() -> int:
    """Print the exception that is being handled as Python does at the end, and say what the program's status is."""
    error = sys.exc_info()[1]
    if not isinstance(error, SystemExit):
        traceback.print_exc()
        return 1
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    import_what_others_wrote()
    gc.freeze()
    request, status = fork_programs(sys.argv[1]), 0
    try:
        run(*request)
    except BaseException:
        status = exit_status()
    # As Python ends, but for the memory, which is given back object by object: that takes longer than most programs.
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

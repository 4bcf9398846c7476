"""A real Slurm on this machine alone: munged, slurmctld and one slurmd, started by hand and ended with the tests.

Debian's packages ``slurm-wlm`` and ``munge`` are all it needs, and root. There is no accounting database, so that jobs
are asked after with ``squeue``.
"""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
# The srun of a job reads its configuration there.
CONFIGURATION = Path("/etc/slurm")
MUNGE = {"runtime": Path("/run/munge"), "state": Path("/var/lib/munge"), "log": Path("/var/log/munge")}
SECONDS = 30

# The node claims more memory than it has: what is asked for is granted and compared, but not used up. It has one card,
# which is none.
SLURM_CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/slurmctld.log
SlurmdLogFile={root}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
MinJobAge=3600
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/filetxt
JobCompLoc={root}/jobs.txt
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=200000 Gres=gpu:1 State=UNKNOWN
PartitionName=tests Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
GRES_CONF = "NodeName={host} Name=gpu File=/dev/null\n"


def what_is_missing() -> str | None:
    """Why there can be no Slurm of our own here; None when there can."""
    if missing := [program for program in PROGRAMS if not shutil.which(program, path=_PATH)]:
        return f"Slurm is not installed here ({', '.join(missing)}): apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "only root may start Slurm's daemons"
    if (CONFIGURATION / "slurm.conf").exists():
        return f"{CONFIGURATION}/slurm.conf is there: this machine belongs to a cluster"
    return None


_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


class Cluster:
    """The three daemons; use as a context."""

    def __init__(self, root: Path):
        self.root = root
        self._daemons: dict[str, subprocess.Popen] = {}
        self._own_key = False
        names = {"host": socket.gethostname().split(".")[0], "root": root, "port": _free_port()}
        self._files = {
            CONFIGURATION / "slurm.conf": SLURM_CONF.format(**names, node_port=_free_port()),
            CONFIGURATION / "gres.conf": GRES_CONF.format(**names),
        }

    def __enter__(self) -> "Cluster":
        for folder in (self.root / "state", self.root / "spool", CONFIGURATION):
            folder.mkdir(parents=True, exist_ok=True)
        for file, text in self._files.items():
            file.write_text(text)
        try:
            # Debian's package starts one; if it runs, it serves us too.
            if subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode:
                self._start_munge()
            self.start_controller()
            self._start("slurmd", "-D")
            self._wait(lambda: " idle" in self.tell("sinfo", "-h", "-o", "%P %T"), "the node is not ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        if "slurmctld" in self._daemons:
            self.cancel_all()
        for name in list(self._daemons):
            self._stop(name)
        for file in self._files:
            file.unlink(missing_ok=True)

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self._start("slurmctld", "-D", "-i")
        self._wait(lambda: "UP" in self.tell("scontrol", "ping"), "slurmctld does not answer")

    def stop_controller(self) -> None:
        """End slurmctld, as an upgrade does; running jobs go on."""
        self._stop("slurmctld")

    def let_jobs_start(self, start: bool) -> None:
        """Whether jobs that wait may start; those that run go on either way."""
        self.tell("scontrol", "update", "PartitionName=tests", f"State={'UP' if start else 'DOWN'}")

    def cancel_all(self) -> None:
        """Cancel every job, and wait until none is left that runs."""
        self.tell("scancel", "--user", "root")
        deadline = time.monotonic() + SECONDS
        while self.tell("squeue", "--noheader") and time.monotonic() < deadline:
            time.sleep(0.2)

    def tell(self, *command: str) -> str:
        """What one of Slurm's commands prints; nothing when it fails."""
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS).stdout

    def jobs(self, *states: str) -> dict[str, dict[str, str]]:
        """All jobs that the controller knows, by id; or those in some states."""
        listed = {}
        for line in self.tell("scontrol", "show", "job", "-o").splitlines():
            fields = dict(part.split("=", 1) for part in line.split() if "=" in part)
            if not states or fields.get("JobState") in states:
                # A task of an array has an id of its own, and one as it was asked for.
                listed[fields["JobId"]] = fields
        return listed

    def _start_munge(self) -> None:
        if not Path("/etc/munge/munge.key").exists():
            subprocess.run(["mungekey", "--create"], check=True, env={"PATH": _PATH})
        for folder in MUNGE.values():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.chown(folder, "munge", "munge")
        self._start("munged", "--foreground", user="munge")
        self._wait(
            lambda: not subprocess.run(["munge", "-n"], capture_output=True, check=False).returncode, "munge is silent"
        )

    def _start(self, name: str, *arguments: str, user: str | None = None) -> None:
        with open(self.root / f"{name}.out", "ab") as out:
            self._daemons[name] = subprocess.Popen(
                [shutil.which(name, path=_PATH), *arguments], stdout=out, stderr=out, user=user, start_new_session=True
            )

    def _stop(self, name: str) -> None:
        daemon = self._daemons.pop(name)
        daemon.terminate()
        try:
            daemon.wait(SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _wait(self, ready, complaint: str) -> None:
        deadline = time.monotonic() + SECONDS
        while not ready():
            ended = [name for name, daemon in self._daemons.items() if daemon.poll() is not None]
            if ended or time.monotonic() > deadline:
                logs = "\n".join(file.read_text()[-2000:] for file in sorted(self.root.glob("*.out")))
                raise AssertionError(f"{complaint}; ended: {ended}\n{logs}")
            time.sleep(0.2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

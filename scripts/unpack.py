"""Take files out of downloaded archives: annotation files by name, or the images of a list."""

import argparse
import json
from pathlib import Path

from layerwise.datasets.archives import unpack
from layerwise.errors import InputError
from layerwise.jobs.command import finished_file, run
from layerwise.jobs.locks import one_at_a_time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receipts", type=Path, nargs="+", required=True, help="of the archives to look in")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--members", nargs="+", help="names of the files")
    what.add_argument("--list", type=Path, help="text file of names, one a line")
    parser.add_argument("--out", type=Path, required=True, help="folder that the names start from")
    parser.add_argument("--receipt", type=Path, help="JSON file to write when all is unpacked")
    args = parser.parse_args()

    names = args.members or args.list.read_text(encoding="utf-8").splitlines()
    missing = {name: args.out / name for name in names}
    archives = [receipt.with_suffix("") for receipt in args.receipts]
    # A file has its name only when it is whole, so archives that were deleted since are not needed.
    if not all(archive.exists() for archive in archives) and all(target.exists() for target in missing.values()):
        missing = {}
    with one_at_a_time(args.out / ".unpacking.lock", f"in {args.out}"):
        for receipt in args.receipts:
            archive = receipt.with_suffix("")
            if missing and not archive.exists():
                raise InputError(f"{archive} was deleted; delete {receipt} too, and it is downloaded again")
            missing = {name: missing[name] for name in unpack(archive, missing)}
    if missing:
        looked_in = ", ".join(archive.name for archive in archives)
        raise InputError(f"{next(iter(missing))} is not in {looked_in}, nor are {len(missing) - 1} other files")
    if args.receipt:
        with finished_file(args.receipt) as partial:
            partial.write_text(json.dumps({"folder": str(args.out), "files": len(names)}, indent=2) + "\n")


if __name__ == "__main__":
    run(main)

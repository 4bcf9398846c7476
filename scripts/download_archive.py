"""Download a file of a data set's source, check it, and write a receipt beside it."""

import argparse
import json
from pathlib import Path

from layerwise.datasets.download import Expected, download
from layerwise.jobs.command import finished_file, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="name of the entry of `sources`")
    parser.add_argument("--address", required=True, help="http or https")
    parser.add_argument("--expected", type=json.loads, required=True, help="size, md5, sha256 where known, as JSON")
    parser.add_argument("--receipt", type=Path, required=True, help="FILE.json; the file itself becomes FILE")
    args = parser.parse_args()

    file = args.receipt.with_suffix("")
    key = f"sources.{args.source}.files.{file.name}"
    receipt = download(args.address, file, Expected(**args.expected), key=key)
    with finished_file(args.receipt) as partial:
        partial.write_text(json.dumps(receipt, indent=2) + "\n")


if __name__ == "__main__":
    run(main)

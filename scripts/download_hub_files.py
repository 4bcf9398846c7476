"""Download a data set from the Hugging Face hub, check it, and write its receipt."""

import argparse
import json
from pathlib import Path

from layerwise.datasets.hub_download import download_hub_files
from layerwise.jobs.command import finished_file, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="of the entry of `datasets`")
    parser.add_argument("--asked", type=json.loads, required=True, help="what is downloaded, as JSON")
    parser.add_argument("--receipt", type=Path, required=True)
    args = parser.parse_args()

    receipt = download_hub_files(f"datasets.{args.name}", args.asked)
    with finished_file(args.receipt) as partial:
        partial.write_text(json.dumps(receipt, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)

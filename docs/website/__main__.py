"""Write the pages of the website, or check the links of the built one."""

import argparse
import shutil
import sys
from pathlib import Path

from docs.website.gallery import write_gallery
from docs.website.link_check import broken
from docs.website.pages import SETTINGS, write_pages

from layerwise.jobs.command import run


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m docs.website", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("write", help="write the pages")
    write.add_argument("--results", type=Path, default=Path("results"), help="results root of the finished demo")
    write.add_argument("--out", type=Path, required=True, help="folder of pages and settings, for Zensical")
    check = commands.add_parser("check", help="check the links")
    check.add_argument("folder", type=Path, help="of the built website")
    args = parser.parse_args()
    if args.command == "write":
        write_pages(args.out / "pages")
        write_gallery(args.out / "pages", args.results)
        shutil.copy(SETTINGS, args.out / SETTINGS.name)
        return
    if found := list(broken(args.folder)):
        sys.exit("\n".join(["error: links lead nowhere; correct them in the Markdown:", *found]))


if __name__ == "__main__":
    run(main)

"""Let users keep what they have over a release whose demo gives the same files as the demo of an older release.

    python -m tests.golden.demos OLDER NEWER

In OLDER and NEWER, two clones, the same studies were run with the older and the present code. For each rule below whose
files are all equal in both, to the last byte or number, ``same_code.json`` then says that NEWER's code counts as that
of OLDER. (``python -m tests.golden`` does this for hidden states and probes on small inputs, in a minute.)
"""

import argparse
import base64
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from layerwise.checksums import file_sha256
from layerwise.code_digest import SAME_CODE

# Rules whose code makes something stale that takes long, each with the outputs that depend on nothing else: not on how
# many seconds something took, nor on versions.
RULES = {
    "make_world": r"/world\.json$",
    "train_embedded_model": r"\.safetensors$",
    "register_model": r"/model\.json$",
    "make_stimuli": r"\.(parquet|csv|json)$",
    "make_task": r"\.(parquet|json)$",
    "make_questions": r"\.(parquet|json)$",
    "fit_site_probes": r"\.parquet$",
    "trace_flow": r"\.parquet$",
}
RECIPE = re.compile(r"/[0-9a-f]{8}(?=/)")
DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{16}(?![0-9a-f])")


class Made(NamedTuple):
    """A file that was made, and the digest of the code that made it."""

    file: Path
    code: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("older", type=Path, help="clone with a finished demo of the older code")
    parser.add_argument("newer", type=Path, help="clone with a finished demo of the present code")
    args = parser.parse_args()
    older, newer, listed = made_in(args.older), made_in(args.newer), json.loads(SAME_CODE.read_text())
    failed = []
    for rule in RULES:
        both = older[rule].keys() & newer[rule].keys()
        differ = [name for name in sorted(both) if not is_equal(older[rule][name].file, newer[rule][name].file)]
        if differ:
            failed.append(f"{rule}: {', '.join(differ[:3])} differ")
            continue
        for name in both:
            was, now = older[rule][name].code, newer[rule][name].code
            # A rule has a digest for each kind of thing that it makes.
            entry = listed.setdefault(f"{rule} {was}", {"stands_for_all": was, "same": []})
            if now not in (was, *entry["same"]):
                entry["same"].append(now)
        print(f"{rule}: {len(both)} files are equal")
    SAME_CODE.write_text(json.dumps(listed, indent=2) + "\n")
    if failed:
        sys.exit("not listed:\n" + "\n".join(failed))


def made_in(clone: Path) -> dict[str, dict[str, Made]]:
    """By rule and name (without recipes), the files that Snakemake has records of."""
    found: dict[str, dict[str, Made]] = defaultdict(dict)
    for name, record in records(clone):
        digests = [code for param in record["params"] for code in DIGEST.findall(param)]
        file = clone / name
        if file.is_file() and len(set(digests)) == 1 and re.search(RULES.get(record["rule"], "$^"), name):
            found[record["rule"]][RECIPE.sub("", name)] = Made(file, digests[0])
    return found


def records(clone: Path) -> Iterator[tuple[str, dict]]:
    """What Snakemake has written down of each output, by its path from the clone."""
    folder = clone / ".snakemake/metadata"
    for file in folder.rglob("*"):
        if file.is_file():
            # A long path is divided into folders that begin with @.
            encoded = "".join(part.removeprefix("@") for part in file.relative_to(folder).parts)
            yield base64.urlsafe_b64decode(encoded).decode(), json.loads(file.read_text())


def is_equal(older: Path, newer: Path) -> bool:
    """Whether two files hold the same bytes or the same table; of a world, whether all of its files do."""
    if older.name == "world.json":
        return contents(older.parent) == contents(newer.parent)
    if older.read_bytes() == newer.read_bytes():
        return True
    return older.suffix == ".parquet" and pd.read_parquet(older).equals(pd.read_parquet(newer))


def contents(folder: Path) -> dict[Path, str]:
    """SHA-256 of all files in a folder, by path."""
    return {file.relative_to(folder): file_sha256(file) for file in folder.rglob("*") if file.is_file()}


if __name__ == "__main__":
    main()

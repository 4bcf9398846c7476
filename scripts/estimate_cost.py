"""What a study will cost before anyone pays: forward tokens, bytes of hidden states, hours.

Counts are exact for stimuli and models that are there already; else they come from the config, the sizes of the
official data sets and what model entries expect. Hours are for the stated rates: measure yours with `make bench`.

    python scripts/estimate_cost.py --configfile my-study.yaml --teraflops 125
"""

import argparse
from pathlib import Path

from layerwise.cost.printing import add_rates, print_cost
from layerwise.jobs.command import run
from layerwise.study import Study

CONFIG = Path(__file__).resolve().parent.parent / "config"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, default=CONFIG / "config.yaml")
    parser.add_argument("--leave-out", nargs="+", default=[], metavar="MODEL", help="as leave_out in the study")
    add_rates(parser)
    args = parser.parse_args()

    print_cost(Study.load(args.configfile, leave_out=args.leave_out), args)


if __name__ == "__main__":
    run(main)

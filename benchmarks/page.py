"""How fast the page one plays with opens and follows a choice, in Chromium without a window.

Measured are the demo's page, if `make demo` has been run, and that of a made-up study of 12 models x 3 tasks x
6 prompts x 41 layers. *First paint* and *curves drawn* count from the navigation. A choice is made in the page's own
controls, where the first chart is in view and in the middle of all charts; it counts until the charts in view have been
painted with the new rows. Numbers are medians, of each choice on its own.

    python benchmarks/page.py --quick
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Page

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from tests.browser.chromium import chromium
from tests.browser.made_up.page import make_page
from tests.browser.made_up.study import LARGE
from tests.browser.watching import SCREENS, watch

ROOT = Path(__file__).resolve().parents[1]
# Seconds to the curves of the demo, and to the first paint of the large study; milliseconds of a choice; megabytes.
DEMO_SECONDS, LARGE_SECONDS, CHOICE_MS, MEGABYTES = 2.0, 3.0, 300.0, 20.0
# Runs in the page before its own scripts.
NOTE_WHEN_DRAWN = """
const look = () => {
  if (document.querySelector("#charts .chart svg .mark-symbol.role-mark path")) window.curvesDrawn = performance.now();
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
# Sets a control and waits until no chart in sight has changed for half a second. Returns the milliseconds until the
# last change had been painted; null if none changed.
CHOOSE = """async ([name, value]) => {
  const controls = [...document.querySelectorAll(`[data-choice="${name}"]`)];
  const control = controls.find((one) => one.type === "checkbox" ? one.value === value : true);
  let painted = null;
  const isInSight = ({ target }) => {
    const { top, bottom } = target.closest("[data-view]").getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  };
  const changed = (changes) => {
    if (changes.some(isInSight)) requestAnimationFrame(() => setTimeout(() => { painted = performance.now(); }));
  };
  const observer = new MutationObserver(changed);
  observer.observe(document.getElementById("charts"), { subtree: true, childList: true, attributes: true });
  const start = performance.now();
  if (control.type === "checkbox") control.checked = !control.checked;
  else control.value = value;
  for (const type of ["input", "change"]) control.dispatchEvent(new Event(type, { bubbles: true }));
  do await new Promise((resume) => setTimeout(resume, 100));
  while (performance.now() - (painted ?? start) < 500);
  observer.disconnect();
  return painted === null ? null : painted - start;
}"""
# By name the values that a control offers, but for the one that is chosen.
OFFERED = """() => {
  const found = {};
  for (const control of document.querySelectorAll("[data-choice]")) {
    const name = control.dataset.choice;
    if (control.closest("[hidden]")) continue;
    if (control.tagName === "SELECT") {
      found[name] = [...control.options].map((option) => option.value).filter((value) => value !== control.value);
    } else if (control.type === "range") {
      found[name] = [0, 1, 2].map((place) => String(Math.round(control.max * (place + 1) / 4)));
    } else found[name] = [...(found[name] ?? []), control.value];
  }
  return found;
}"""


@dataclass(frozen=True)
class Measured:
    """Of one page: bytes, seconds to the first paint and to the curves, and milliseconds of each choice."""

    size: int
    first_paint: float
    drawn: float
    choices: dict[str, float]

    @property
    def slowest(self) -> str:
        return max(self.choices, key=lambda name: self.choices[name])


def measure(browser: Browser, file: Path, rounds: int) -> Measured:
    """Open a page several times, and make each choice several times.

    Raises:
        RuntimeError: Something went wrong in the page, or no chart followed a choice.
    """
    opened = []
    for _ in range(rounds):
        with browser.new_context(viewport=dict(zip(("width", "height"), SCREENS["laptop"], strict=True))) as context:
            page = context.new_page()
            page.add_init_script(NOTE_WHEN_DRAWN)
            faults = watch(page)
            page.goto(file.resolve().as_uri())
            page.wait_for_function("window.curvesDrawn !== undefined", timeout=120_000)
            paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            opened.append((paint / 1000, page.evaluate("curvesDrawn") / 1000))
            # In the last one.
            choices = time_choices(page, rounds) if len(opened) == rounds else {}
            if faults:
                raise RuntimeError("\n".join(faults))
    paints, drawn = map(median, zip(*opened, strict=True))
    return Measured(file.stat().st_size, paints, drawn, choices)


def time_choices(page: Page, rounds: int) -> dict[str, float]:
    """By name of each control with another value to choose: median milliseconds until the charts show it.

    Of the first chart and of the middle of all charts, what is slower.
    """
    found: dict[str, float] = {}
    for block in ("start", "center"):
        page.evaluate("block => document.getElementById('charts').scrollIntoView({ block })", block)
        page.wait_for_timeout(1500)
        for name, milliseconds in time_choices_here(page, rounds).items():
            found[name] = max(milliseconds, found.get(name, 0))
    if not found:
        raise RuntimeError(f"no chart followed any choice of {list(page.evaluate(OFFERED))}")
    return found


def time_choices_here(page: Page, rounds: int) -> dict[str, float]:
    """The same where the page has been scrolled to."""
    found = {}
    for name in page.evaluate(OFFERED):
        times = []
        for place in range(rounds):
            # Values that the page offers now: one choice limits others.
            values = page.evaluate(OFFERED).get(name)
            if values and (taken := page.evaluate(CHOOSE, [name, values[place % len(values)]])) is not None:
                times.append(taken)
        if times:
            found[name] = median(times)
    return found


def row(name: str, found: Measured) -> str:
    """A row of the table."""
    slowest = f"{found.choices[found.slowest]:.0f} ({found.slowest})"
    cells = [name, f"{found.size / 1e6:.1f}", f"{found.first_paint:.2f}", f"{found.drawn:.2f}"]
    return f"| {' | '.join([*cells, f'{median(found.choices.values()):.0f}', slowest])} |"


def goals(pages: dict[str, Measured]) -> list[str]:
    """A line for each goal: whether it was met."""
    demo, large = pages.get("demo"), pages["made-up study"]
    asked = [("first paint of the made-up study", large.first_paint, LARGE_SECONDS, "s")]
    asked += [
        (f"choices in the page of the {name}", page.choices[page.slowest], CHOICE_MS, "ms")
        for name, page in pages.items()
    ]
    if demo:
        asked += [("curves of the demo drawn", demo.drawn, DEMO_SECONDS, "s")]
        asked += [("size of the demo's page", demo.size / 1e6, MEGABYTES, "MB")]
    return [
        f"- {'met' if value <= goal else 'MISSED'}: {what}, at most {goal:g} {unit} ({value:.3g})"
        for what, value, goal, unit in asked
    ]


def main() -> None:
    """Print the table and the goals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the default: 3 rounds")
    size.add_argument("--full", action="store_true", help="9 rounds")
    parser.add_argument("--demo", type=Path, default=ROOT, help="folder in which the demo was run")
    args = parser.parse_args()
    rounds = 9 if args.full else 3
    pages = {}
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        version = browser.version
        if (demo := args.demo / "results/explore/index.html").exists():
            pages["demo"] = measure(browser, demo, rounds)
        else:
            print("The demo's page is not measured: `make demo` has not been run in this folder.\n")
        pages["made-up study"] = measure(browser, make_page(Path(folder), LARGE)[0], rounds)
    print(f"Medians of {rounds} rounds, Chromium {version}, 1366 x 768.\n")
    print("| page | MB | first paint, s | curves drawn, s | a choice, ms | the slowest, ms |")
    print("|---|---:|---:|---:|---:|---|")
    for name, found in pages.items():
        print(row(name, found))
    print("\nGoals:\n")
    print("\n".join(goals(pages)))


if __name__ == "__main__":
    main()

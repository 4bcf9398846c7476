"""What a row of docs/families.md says of a family, and the reasons behind each `no`."""

import re
from collections.abc import Mapping

from tests.families.comparing import Refusal
from tests.families.family import Family
from tests.families.intervened import Intervened
from tests.families.measure import Measured
from tests.families.several import Several

NO = "no"
# What in a message only says which model or key it is about.
ABOUT = re.compile(
    r"^(models\.tiny\.intervention\.\S+: |states\.sites: \S+ cannot be kept for this family: "
    r"|information flow .* type \S+: |a model of type \S+ is to be shown \d pictures in a text, and takes one: "
    r"|a model of type \S+ (allows none: )?)+"
)
# What a message advises. The page says it once, in its legend.
ADVICE = re.compile(r"((; leave |: use `image).*| \(docs/families\.md\))$")
# Which blocked runs differ, and by how much, depends on the tiny model's weights.
DIFFER = re.compile(r"^with .* blocked.*, the probability of the answer differs .*")


class Reasons:
    """What types cannot do, or what is to know about them, with the reasons."""

    def __init__(self) -> None:
        self._types: dict[tuple[str, str], list[str]] = {}

    def add(self, what: str, why: str, model_type: str) -> None:
        """Note it for a type."""
        why = ADVICE.sub("", ABOUT.sub("", why))
        why = DIFFER.sub("its blocked runs differ from whole forward passes, and are checked before each use", why)
        types = self._types.setdefault((what, why), [])
        if model_type not in types:
            types.append(model_type)

    def lines(self) -> str:
        """All of it as a list in Markdown: one entry for all that has the same reason in the same types."""
        whats: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for (what, why), types in self._types.items():
            whats.setdefault((why, tuple(sorted(types))), []).append(what)
        entries = [(", ".join(what), types, why) for (why, types), what in whats.items()]
        return "\n".join(
            f"- **{what}**, {', '.join(f'`{model_type}`' for model_type in types)}: {why}."
            for what, types, why in sorted(entries)
        )


def cells(measured: Measured, family: Family, reasons: Reasons) -> list[str]:
    """The cells behind a family's name, from `hidden states` to `processor`."""
    of_type = measured.model_type

    def single(what: str, found: float | Intervened | Refusal) -> str:
        if isinstance(found, Refusal):
            reasons.add(what, found, of_type)
            return NO
        if isinstance(found, Intervened):
            if found.not_everywhere:
                reasons.add(f"{what} in all blocks", found.not_everywhere, of_type)
            return number(found.exact)
        return number(found)

    def pictures(found: Several | Refusal) -> str:
        if isinstance(found, Refusal):
            reasons.add("several pictures", found, of_type)
            return NO
        return number(found.exact)

    def several(found: Mapping[str, float | Intervened | Refusal]) -> str:
        each = {what: single(f"`{what}`", one) for what, one in found.items()}
        exact = [cell for cell in each.values() if cell != NO]
        return "; ".join([max(exact, key=float, default=NO), *(f"no {what}" for what in each if each[what] == NO)])

    return [
        number(measured.hooks),
        number(measured.batch),
        single("shared prefix", measured.shared if measured.declared else Refusal(family.not_shared)),
        several(measured.interventions),
        single("knockout", measured.knockout),
        single("text alone", measured.text),
        several(measured.sites),
        pictures(measured.pictures),
        "changed" if family.changed_processor else "own",
    ]


def of_all_kinds(rows: list[list[str]]) -> list[str]:
    """The cells of a family with several kinds: the greatest number, and whatever one of them does not allow.

    The first kind's processor counts.
    """
    worst = [max(column, key=lambda cell: (cell.count(NO), _greatest(cell))) for column in zip(*rows, strict=True)]
    return [*worst[:-1], rows[0][-1]]


def _greatest(cell: str) -> float:
    first = cell.split(";")[0]
    return float(first) if first != NO and first[0].isdigit() else 0.0


def number(value: float) -> str:
    """A number with one digit."""
    return f"{value:.0e}" if value else "0"

"""Small mistakes in nested data, drawn by Hypothesis: what a hand or another tool may have left there."""

import copy
import datetime
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# The same examples each time; few enough that all tests of this kind take seconds.
QUICK = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# What JSON can say, and YAML too.
ODD = [None, True, False, 0, -1, 7, 1.5, 7.0, 10**400, "", " ", "7", "x", "\u200b", "a" * 300]
ODD += [[], {}, [None], [[1]], {"x": None}, {"": []}, float("nan"), float("inf")]
# Half of a surrogate pair, which JSON can spell and UTF-8 cannot.
ODD_IN_JSON = [*ODD, "\ud800"]
# What YAML makes of unquoted words; also as keys.
ODD_IN_YAML = [*ODD, datetime.date(2024, 1, 1), b"x"]
ODD_KEYS = [None, True, 7, 1.5, datetime.date(2024, 1, 1), "", "x", "a b"]


def retyped(draw: st.DrawFn, value: Any, odd: list[Any], odd_keys: list[Any] = ("x", "")) -> tuple[Any, list[str]]:
    """A copy of nested data with one thing deleted, repeated, replaced or under another key; and the path to it."""
    value = copy.deepcopy(value)
    path, container = [], value
    while True:
        keys = list(container) if isinstance(container, dict) else range(len(container))
        key = draw(st.sampled_from(keys))
        path.append(str(key))
        inner = container[key]
        if not (isinstance(inner, dict | list) and inner) or draw(st.integers(0, 3)) == 0:
            break
        container = inner
    match draw(st.sampled_from(["delete", "replace", "replace", "repeat", "rename"])):
        case "delete":
            del container[key]
        case "replace":
            container[key] = copy.deepcopy(draw(st.sampled_from(odd)))
        case "repeat" if isinstance(container, list):
            container.append(copy.deepcopy(inner))
        case "repeat":
            container[f"{key}-2"] = copy.deepcopy(inner)
        case "rename" if isinstance(container, dict):
            container[draw(st.sampled_from(odd_keys))] = container.pop(key)
        case _:
            container.insert(0, container.pop(key))
    return value, path


def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes of a text file with one thing wrong: cut, or with bytes in them that do not belong there."""
    place = draw(st.integers(0, len(content)))
    odd = [b"", b"\xff", b"\x00", b'"', b"\n", b"\r", b",", b";", b"\xc3", b"{", b"\xe2\x80\xa8", b"[" * 5000]
    before = draw(st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"PK\x03\x04", b"\n"]))
    return before + content[:place] + draw(st.sampled_from(odd)) + draw(st.sampled_from([content[place:], b""]))

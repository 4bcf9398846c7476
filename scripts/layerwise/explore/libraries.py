"""JavaScript of others, as it comes with packages that are installed."""

import re
from importlib.util import find_spec
from pathlib import Path


def datatables() -> str:
    """DataTables, from the bundle of itables, as a script that defines ``jQuery``.

    The bundle is a module, which a page without a server can only have within itself: its exports become one global.

    Raises:
        RuntimeError: itables has no such bundle.
    """
    spec = find_spec("itables")
    if spec is None or spec.origin is None:
        raise RuntimeError("itables is not installed; install envs/requirements.txt")
    # Importing itables would import much more, and take seconds.
    code = Path(spec.origin).with_name("html").joinpath("dt_bundle.js").read_text(encoding="utf-8")
    exports = re.search(r"export\{[^}]*?(\w+) as jQuery\b[^}]*\};?", code)
    if not exports:
        raise RuntimeError("itables' bundle of DataTables exports no jQuery; install the release of requirements.txt")
    body = code[: exports.start()] + f"window.jQuery={exports[1]};" + code[exports.end() :]
    return f'(()=>{{"use strict";{body}\n}})();'

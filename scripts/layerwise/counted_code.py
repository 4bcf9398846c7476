"""Which of a program's code can change a number: its syntax tree without what only speaks, checks or waits.

Left out are comments and docstrings; the text of messages, log lines, warnings and help; descriptions of config keys;
refusals of input; type annotations, except in classes that convert values by them; and calls of modules that decide no
number, such as locks and start-up checks. What a message computes stays in, unless computing it obviously changes
nothing.
"""

import ast
from collections.abc import Container

# Reading these, or calling these on what is read, changes nothing.
PURE_FUNCTIONS = {"abs", "float", "int", "len", "list", "max", "min", "repr", "round", "set", "sorted", "str", "sum"}
PURE_METHODS = {"format", "items", "join", "keys", "lower", "max", "mean", "min", "sum", "tolist", "upper", "values"}
IMPURE = (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)
SPEAKS = {"log", "logging", "warnings"}
# Imports that matter to annotations, or to what is left out anyway.
FOR_READERS = {"collections.abc", "logging", "typing", "warnings"}
# Keyword arguments that are texts for readers, by the function that takes them.
OPTION_HELP = {"help", "description", "epilog", "metavar", "prog"}
FOR_USERS = dict.fromkeys(("add_argument", "ArgumentParser", "add_mutually_exclusive_group"), OPTION_HELP)
# pydantic's, for a key of the config.
FOR_USERS["Field"] = {"description", "title", "examples"}
# Classes that derive from others, as pydantic's models do, may convert values by their annotations; not from these.
READ_NO_ANNOTATIONS = {"ABC", "Enum", "Exception", "Generic", "NamedTuple", "Protocol", "TypedDict"}


def counted(source: str, file: str, left_out: Container[str]) -> ast.Module:
    """The part of a module's syntax tree that can change a number.

    Args:
        source: its text.
        file: its path, for syntax errors.
        left_out: names of modules that decide no number.
    """
    tree = ast.parse(source, filename=file)
    # In place: a module itself is never replaced.
    _Counted(tree, left_out).visit(tree)
    return tree


def canonical(node: object) -> str:
    """A syntax tree as text, the same for every Python version: without positions and empty fields."""
    if isinstance(node, list):
        return "[" + ",".join(map(canonical, node)) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = [
        f"{name}={canonical(value)}" for name, value in ast.iter_fields(node) if value is not None and value != []
    ]
    return f"{type(node).__name__}({','.join(fields)})"


def is_pure(node: ast.AST) -> bool:
    """Whether computing an expression obviously changes nothing."""
    for part in ast.walk(node):
        if isinstance(part, IMPURE):
            return False
        if isinstance(part, ast.Call):
            called = part.func
            named = isinstance(called, ast.Name) and called.id in PURE_FUNCTIONS
            if not named and not (isinstance(called, ast.Attribute) and called.attr in PURE_METHODS):
                return False
    return True


def is_catalogue(module: str) -> bool:
    """Whether a module is a catalogue of entries, see :mod:`layerwise.catalogue`."""
    return module.rpartition(".")[2] == "catalogue"


class _Counted(ast.NodeTransformer):
    def __init__(self, tree: ast.Module, left_out: Container[str]):
        self.left_out = left_out
        # A catalogue is not among them: it is left out only because its entries are given to the digest by name.
        self.decides_nothing = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "") in left_out
            if not is_catalogue(node.module or "")
            for alias in node.names
        }
        self._annotations_count = False

    def visit(self, node: ast.AST) -> ast.AST | None:
        """A node without what does not count; None where nothing of it counts."""
        node = super().visit(node)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)]
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            # Never run.
            return None
        if isinstance(node, ast.If | ast.For) and not node.orelse and all(map(_decides_nothing, node.body)):
            return None if is_pure(node.test if isinstance(node, ast.If) else node.iter) else node
        return node

    def visit_Import(self, node: ast.Import) -> ast.Import | None:
        node.names = [alias for alias in node.names if not self._is_left_out(alias.name)]
        return node if node.names else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        if self._is_left_out(node.module or ""):
            return None
        node.names = [alias for alias in node.names if f"{node.module}.{alias.name}" not in self.left_out]
        return node if node.names else None

    def _is_left_out(self, module: str) -> bool:
        return module in FOR_READERS or module in self.left_out

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        if isinstance(node.value, ast.Call) and _called(node.value) == ("logging", "getLogger"):
            return None
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        outer = self._annotations_count
        self._annotations_count = any(_last_name(base) not in READ_NO_ANNOTATIONS for base in node.bases)
        self.generic_visit(node)
        self._annotations_count = outer
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        # A dataclass has its fields from annotations too, but only their names and order.
        if not self._annotations_count:
            node.annotation = ast.Constant(None)
        self.generic_visit(node)
        if node.value is not None and _is_empty_field(node.value):
            node.value = None
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if _last_name(node.value) == "Annotated" and isinstance(node.slice, ast.Tuple):
            node.slice.elts = [part for part in node.slice.elts if not _is_empty_field(part)]
            if len(node.slice.elts) == 1:
                return node.slice.elts[0]
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        outer, self._annotations_count = self._annotations_count, False
        node.returns = None
        self.generic_visit(node)
        self._annotations_count = outer
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self.visit_FunctionDef(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        call = node.value
        if not isinstance(call, ast.Call):
            return self.generic_visit(node)
        owner, name = _called(call)
        if owner in SPEAKS or (owner is None and name in self.decides_nothing):
            computed = [self.visit(part) for part in _computed([*call.args, *_values(call)])]
            return ast.Expr(ast.Tuple([part for part in computed if isinstance(part, ast.expr)])) if computed else None
        return self.generic_visit(node)

    def visit_With(self, node: ast.With) -> ast.AST | list[ast.stmt]:
        """A block that only waits, or words errors, counts as its body."""
        self.generic_visit(node)
        arguments: list[ast.expr] = []
        kept = []
        for item in node.items:
            call = item.context_expr
            if item.optional_vars is None and isinstance(call, ast.Call) and self._only_frames(call):
                arguments += [*call.args, *_values(call)]
            else:
                kept.append(item)
        node.items = kept
        parts = _computed(arguments)
        computed: list[ast.stmt] = [ast.Expr(ast.Tuple(parts))] if parts else []
        return [*computed, *([node] if node.items else node.body)]

    def _only_frames(self, call: ast.Call) -> bool:
        owner, name = _called(call)
        return owner is None and name in self.decides_nothing

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = _computed([*node.exc.args, *_values(node.exc)]), []
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = node.msg if node.msg and not is_pure(node.msg) else None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        words = FOR_USERS.get(_called(node)[1] or "", ())
        node.keywords = [word for word in node.keywords if word.arg not in words or not is_pure(word.value)]
        return self.generic_visit(node)


def _values(call: ast.Call) -> list[ast.expr]:
    return [keyword.value for keyword in call.keywords]


def _computed(arguments: list[ast.expr]) -> list[ast.expr]:
    """The parts of a message whose computation may change something; of an f-string, of its places."""
    parts = []
    for argument in arguments:
        if is_pure(argument):
            continue
        if isinstance(argument, ast.JoinedStr):
            places = [part.value for part in argument.values if isinstance(part, ast.FormattedValue)]
            parts += _computed(places)
        else:
            parts.append(argument)
    return parts


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _decides_nothing(node: ast.stmt) -> bool:
    """Whether a statement is empty or refuses the input: a refusal makes no number, and takes none back."""
    if isinstance(node, ast.Pass):
        return True
    if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.cause is None):
        return False
    return _called(node.exc) == (None, "InputError") and not node.exc.args


def _is_empty_field(node: ast.expr) -> bool:
    """Whether an expression is pydantic's ``Field()``, which says no more than its absence."""
    return isinstance(node, ast.Call) and _called(node)[1] == "Field" and not node.args and not node.keywords


def _last_name(node: ast.expr) -> str | None:
    """``Model`` of ``Model``, ``pydantic.Model`` and ``Model[T]``."""
    if isinstance(node, ast.Subscript):
        return _last_name(node.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else None


def _called(call: ast.Call) -> tuple[str | None, str | None]:
    """The owner and name of a call: ``log`` and ``info``; None and ``len``; "" for an owner that is not a name."""
    called = call.func
    if isinstance(called, ast.Name):
        return None, called.id
    if isinstance(called, ast.Attribute):
        return (called.value.id if isinstance(called.value, ast.Name) else ""), called.attr
    return None, None

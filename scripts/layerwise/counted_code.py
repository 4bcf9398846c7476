"""Which of a program's code can change a number: its syntax tree without what only speaks, checks or waits.

Left out are comments and docstrings; the text of messages, log lines, warnings and help; refusals of input; type
annotations of functions; and calls of modules that decide no number, such as locks and start-up checks. What such code
computes on its way stays in, unless it is plain to see that computing it changes nothing.
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
HELP = {"help", "description", "epilog", "metavar", "prog"}


def counted(source: str, file: str, left_out: Container[str]) -> ast.Module:
    """The syntax tree of a module with no more than what can change a number.

    Args:
        source: its text.
        file: its path, for syntax errors.
        left_out: names of modules that decide no number.
    """
    tree = ast.parse(source, filename=file)
    return _Counted(tree, left_out).visit(tree)


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
    """Whether it is plain to see that an expression changes nothing when it is computed."""
    for part in ast.walk(node):
        if isinstance(part, IMPURE):
            return False
        if isinstance(part, ast.Call):
            called = part.func
            named = isinstance(called, ast.Name) and called.id in PURE_FUNCTIONS
            if not named and not (isinstance(called, ast.Attribute) and called.attr in PURE_METHODS):
                return False
    return True


class _Counted(ast.NodeTransformer):
    def __init__(self, tree: ast.Module, left_out: Container[str]):
        self.left_out = left_out
        self.decides_nothing = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "") in left_out
            for alias in node.names
        }

    def visit(self, node: ast.AST) -> ast.AST | None:
        """A node without what does not count; None where nothing of it does."""
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

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | None:
        if isinstance(node.value, ast.Call) and _called(node.value) == ("logging", "getLogger"):
            return None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        # A dataclass has its fields from annotations: in order, and with their defaults.
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        return self.generic_visit(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        call = node.value
        if not isinstance(call, ast.Call):
            return self.generic_visit(node)
        owner, name = _called(call)
        if owner in SPEAKS or (owner is None and name in self.decides_nothing):
            computed = _computed([*call.args, *_values(call)])
            return ast.Expr(ast.Tuple([self.visit(part) for part in computed])) if computed else None
        return self.generic_visit(node)

    def visit_With(self, node: ast.With) -> ast.With | list[ast.stmt]:
        """A block that waits, or words errors, is what is in it."""
        node = self.generic_visit(node)
        quiet = [item for item in node.items if self._only_frames(item)]
        node.items = [item for item in node.items if item not in quiet]
        arguments = [part for item in quiet for part in (*item.context_expr.args, *_values(item.context_expr))]
        computed = [ast.Expr(ast.Tuple(parts))] if (parts := _computed(arguments)) else []
        return [*computed, *([node] if node.items else node.body)]

    def _only_frames(self, item: ast.withitem) -> bool:
        call = item.context_expr
        if item.optional_vars is not None or not isinstance(call, ast.Call):
            return False
        owner, name = _called(call)
        return owner is None and name in self.decides_nothing

    def visit_Raise(self, node: ast.Raise) -> ast.Raise:
        if isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = _computed([*node.exc.args, *_values(node.exc)]), []
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.Assert:
        node.msg = node.msg if node.msg and not is_pure(node.msg) else None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.Call:
        if _called(node)[1] in ("add_argument", "ArgumentParser", "add_mutually_exclusive_group"):
            node.keywords = [word for word in node.keywords if word.arg not in HELP or not is_pure(word.value)]
        return self.generic_visit(node)


def _values(call: ast.Call) -> list[ast.expr]:
    return [keyword.value for keyword in call.keywords]


def _computed(arguments: list[ast.expr]) -> list[ast.expr]:
    """What a message computes that may change something: of a text with places in it, those places."""
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
    """A statement that refuses the input, or none: a refusal makes no number, and takes none back."""
    if isinstance(node, ast.Pass):
        return True
    if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.cause is None):
        return False
    return _called(node.exc) == (None, "InputError") and not node.exc.args


def _called(call: ast.Call) -> tuple[str | None, str | None]:
    """What a call names: ``log`` and ``info``; None and ``len``; nothing where it is not as plain as that."""
    called = call.func
    if isinstance(called, ast.Name):
        return None, called.id
    if isinstance(called, ast.Attribute):
        return (called.value.id if isinstance(called.value, ast.Name) else ""), called.attr
    return None, None

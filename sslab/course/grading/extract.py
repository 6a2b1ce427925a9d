"""Takes one function out of a notebook: its source, and what it needs, and nothing else that stands there.

No cell is run. What is taken are top-level definitions, imports and assignments that the function refers to,
directly or through others. A cell that overwrites `check` or patches a package is not among them, unless the
function needs it; and then it is run where it can change nothing but itself.
"""

import ast
import builtins
import symtable
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

# What an exercise may import beside what its solution takes from sslab.
LIBRARIES = {"torch", "numpy", "scipy", "sklearn", "einops", "math", "cmath", "itertools", "functools", "operator",
             "collections", "copy", "random", "statistics", "string", "typing", "dataclasses", "warnings", "heapq",
             "bisect", "numbers", "fractions", "decimal", "abc", "enum", "contextlib", "time", "__future__"}


class Refused(ValueError):
    """Why a function is not run: a headline, and a hint for the student."""

    def __init__(self, headline: str, hint: str) -> None:
        super().__init__(headline)
        self.hint = hint


@dataclass(frozen=True, eq=False)
class Statement:
    """One top-level statement: the names that it binds, and once they are asked for its text and what it refers to."""

    node: ast.stmt
    binds: frozenset[str]
    lines: list[str]

    @cached_property
    def text(self) -> str:
        return _text(self.node, self.lines)

    @cached_property
    def needs(self) -> frozenset[str]:
        return frozenset(_needs(self.text))


@dataclass(frozen=True)
class Taken:
    """A function's source, and the names in it that stand for parts of sslab: name -> dotted name, or a tree."""

    source: str
    names: dict


def take(cells: list[str], function: str, first: int | None = None, spare: list[str] = (),
         allowed: frozenset[str] | None = frozenset()) -> Taken:
    """The source of `function` with what it needs.

    Args:
        cells: the code cells, in order.
        function: its name.
        first: the cell that it should stand in; where it does not, the last cell that defines it counts.
        spare: cells for names that `cells` do not define, such as the lesson's imports.
        allowed: dotted names of sslab that it may use; None: all.
    Raises:
        Refused: it is not there, cannot be read, or uses what it may not.
    """
    mine = [_statements(cell) for cell in cells]
    found = [s for cell in (*map(_statements, spare), *mine) for s in cell]
    own = [s for s in (mine[first] if first is not None else ()) if function in s.binds]
    own = own or [s for cell in mine for s in cell if function in s.binds]
    if not own:
        if first is not None and _unreadable(cells[first]):
            raise Refused(f"not Python: {_unreadable(cells[first])}", "Run the cell and see where Python stumbles.")
        raise Refused(f"there is no function {function}", f"Call it {function}, as the notebook does.")
    wanted, todo = {own[-1]}, [own[-1]]
    while todo:
        for name in todo.pop().needs - {function}:
            bound = [s for s in found if name in s.binds] or [s for s in found if "*" in s.binds and not hasattr(builtins, name)]
            if bound and bound[-1] not in wanted:
                wanted.add(bound[-1])
                todo.append(bound[-1])
    statements = [s for s in found if s in wanted]
    roots = {name: dotted for s in statements for name, dotted in _of_sslab(s.node)}
    for s in statements:
        _only_libraries(s.node)
    used = sorted({dotted for s in statements if not _imports_sslab(s.node) for dotted in _chains(s.node, roots)})
    for dotted in used:
        if allowed is not None and not any(dotted == one or dotted.startswith(one + ".") for one in allowed):
            may = f" From sslab it may use: {', '.join(sorted(allowed))}." if allowed else ""
            raise Refused(f"it uses {dotted}", f"The exercise is to write it, with torch.{may}")
    source = "\n".join(s.text for s in statements if not _imports_sslab(s.node))
    return Taken(source, _tree(roots, used))


def plain(cell: str) -> str:
    """A cell's Python, without what IPython adds: %magics and !commands."""
    if not any(line.lstrip()[:1] in ("%", "!", "?") or line.rstrip().endswith("?") for line in cell.splitlines()):
        return cell
    from IPython.core.inputtransformer2 import TransformerManager

    return TransformerManager().transform_cell(cell)


def _unreadable(cell: str) -> str:
    try:
        ast.parse(plain(cell))
    except (SyntaxError, ValueError) as error:
        return f"{getattr(error, 'msg', error)}, line {getattr(error, 'lineno', '?')}"
    return ""


@lru_cache(256)
def _statements(cell: str) -> tuple[Statement, ...]:
    """The top-level statements of a cell that bind a name; none if it cannot be read."""
    try:
        text = plain(cell)
        nodes = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return ()
    lines = text.splitlines()
    return tuple(Statement(node, binds, lines) for node in nodes if (binds := frozenset(_binds(node))))


def _text(node: ast.stmt, lines: list[str]) -> str:
    """A definition as it was typed, so that an error can show the line; anything else as Python writes it."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        return "\n".join(lines[first - 1: node.end_lineno])
    return ast.unparse(node)


def _binds(node: ast.stmt) -> Iterator[str]:
    """The names that a definition, an import or an assignment binds; of anything else none."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.Import):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for inner in [target, *getattr(target, "elts", ())]:
                if isinstance(inner, ast.Name):
                    yield inner.id


def _needs(text: str) -> Iterator[str]:
    """The global names that a statement refers to, also from inside its functions."""
    tables = [symtable.symtable(text, "<cell>", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table.get_type() == "module"):
                yield symbol.get_name()


# ---- what it uses of sslab

def _of_sslab(node: ast.stmt) -> Iterator[tuple[str, str]]:
    """(name, dotted name) of what an import takes from sslab."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.partition(".")[0] == "sslab":
                yield (alias.asname, alias.name) if alias.asname else ("sslab", "sslab")
    elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "sslab":
        for alias in node.names:
            yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _imports_sslab(node: ast.stmt) -> bool:
    return any(True for _ in _of_sslab(node))


def _only_libraries(node: ast.stmt) -> None:
    """No imports, at whatever depth, but of the libraries; of sslab what _chains lets pass."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            modules = [alias.name for alias in inner.names]
        elif isinstance(inner, ast.ImportFrom):
            modules = [inner.module or "."]
        else:
            continue
        for module in modules:
            root = module.partition(".")[0]
            if root not in LIBRARIES and not (root == "sslab" and inner is node):
                raise Refused(f"it imports {module}", "Python's mathematics, numpy and torch are enough.")


def _chains(node: ast.stmt, roots: dict[str, str]) -> Iterator[str]:
    """The dotted names of sslab that a statement uses, each as long as it is written."""
    inside = {id(inner.value) for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Attribute, ast.Name)) and id(inner) not in inside:
            parts, at = [], inner
            while isinstance(at, ast.Attribute):
                parts.insert(0, at.attr)
                at = at.value
            if isinstance(at, ast.Name) and at.id in roots:
                yield ".".join([roots[at.id], *parts])


def _tree(roots: dict[str, str], used: list[str]) -> dict:
    """For each name what stands behind it: a dotted name, or a tree with only the parts that are used."""
    tree = {}
    for name, root in roots.items():
        for dotted in used:
            if dotted == root:
                tree[name] = root
            elif dotted.startswith(root + "."):
                at, parts = tree.setdefault(name, {}), dotted[len(root) + 1:].split(".")
                for part in parts[:-1]:
                    at = at.setdefault(part, {}) if isinstance(at, dict) else at
                if isinstance(at, dict):
                    at[parts[-1]] = dotted
    return tree

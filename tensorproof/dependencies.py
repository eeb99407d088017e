"""Which earlier blocks of its page a block needs, found from the names it uses, so that they can be copied together.

The code alone tells; nothing is run. A block needs the blocks that bind the names it uses and those that change
such an object in place, be it through another name. Where the code does not tell whether a call changes an
object or two names share one, they are taken to do so: a block too many is a nuisance, a block too few an error.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from tensorproof.page import Block, Page

_HARMLESS = {"print", "len", "isinstance"}
"""Functions that are called for themselves and change nothing."""
_COPIES = {"clone", "copy", "item", "tolist", "tensor", "zeros", "ones"}
"""What these return shares no memory with what it was made from."""
_FILLS = {"append", "extend", "insert", "add", "update"}
"""Methods after which an object holds what it was given."""
_CHANGES_ARGUMENTS = {"next", "shuffle", "copyto"}
_SETTING = re.compile(r"set_|use_")
"""Functions of a module that change what the module does later; others are taken to leave it as it is."""
_SEEDING = re.compile(r".*seed")
"""Functions of a module after which it draws the same numbers, whatever it drew before."""
_DRAWING = re.compile(
    r".*(rand|normal|uniform|bernoulli|multinomial|dropout|shuffle|\binit\b|\bnn\.(?!Module|Sequential|Parameter)[A-Z])"
)
"""Names, dotted, of what draws random numbers, such as layers for their weights. What holds layers draws none."""


@dataclass
class Names:
    """What a piece of code does with the names of its page."""

    uses: set[str] = field(default_factory=set)
    """Names that it does not bind before it uses them."""
    binds: set[str] = field(default_factory=set)
    """Names that it binds whatever happens."""
    may_bind: set[str] = field(default_factory=set)
    defines: set[str] = field(default_factory=set)
    """Names that it gives to functions and classes."""
    changes: set[str] = field(default_factory=set)
    """Names whose objects it may change in place."""
    passes: set[str] = field(default_factory=set)
    """Names whose objects it passes to a function, which may change them unless they are functions or classes."""
    sets: set[str] = field(default_factory=set)
    """Names whose settings it changes, should they be modules."""
    seeds: bool = False
    """Whether it seeds a generator of random numbers, which is taken to come before it draws any."""
    draws: bool = False
    shares: list[set[str]] = field(default_factory=list)
    """Groups of names that may stand for one object, or for views of one."""
    imports: dict[str, str] = field(default_factory=dict)
    """Names that it imports on top, each with its statement."""


@cache  # each block is asked for by all that stand below it, and again after each edit that `mkdocs serve` sees
def names_of(source: str) -> Names:
    """What code does with names; nothing if it is an example of wrong syntax."""
    reader = _Reader()
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return reader.names
    for statement in tree.body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            text = ast.unparse(statement)
            imported = {(each.asname or each.name).partition(".")[0]: text for each in statement.names}
            reader.names.imports |= imported
        else:
            reader.visit(statement)
    return reader.names


class _Reader(ast.NodeVisitor):
    """Walks over statements in the order in which they run."""

    def __init__(self) -> None:
        self.names = Names()

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.bind(node.id)
        elif node.id not in self.names.binds | self.names.imports.keys():
            self.names.uses.add(node.id)
        self.names.draws |= bool(_DRAWING.match(node.id))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        self.names.draws |= bool(_DRAWING.match(ast.unparse(node)))

    def bind(self, name: str) -> None:
        self.names.binds.add(name)
        self.names.may_bind.add(name)

    def branches(self, *bodies: Sequence[ast.AST]) -> None:
        """Read code of which one piece may run: bound is what all of them bind."""
        before, ends = self.names.binds, []
        for body in bodies:
            self.names.binds = set(before)
            for each in body:
                self.visit(each)
            ends.append(self.names.binds)
        self.names.binds = set.intersection(*ends)

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self.branches(node.body, node.orelse)

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self.branches([*node.body, *node.orelse], [])

    def visit_For(self, node: ast.For) -> None:
        self.visit(node.iter)
        self.assign(node.target, node.iter)
        match node.iter:
            case ast.Tuple(elts=[_, *_]) | ast.List(elts=[_, *_]) | ast.Constant():
                self.visit(node.target)
        self.branches([node.target, *node.body, *node.orelse], [])

    def visit_Try(self, node: ast.Try) -> None:
        self.branches([*node.body, *node.orelse], [], *(handler.body for handler in node.handlers))
        for each in node.finalbody:
            self.visit(each)

    def visit_scope(self, node: ast.AST) -> None:
        """A scope of its own: what it takes from the page is what it neither binds nor gets as an argument."""
        within = _Reader()
        for child in ast.iter_child_nodes(node):
            within.visit(child)
        own = within.names.may_bind | {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
        self.names.uses |= within.names.uses - own - self.names.binds - self.names.imports.keys()
        self.names.changes |= within.names.changes - own
        self.names.passes |= within.names.passes - own
        self.names.draws |= within.names.draws and not within.names.seeds

    visit_Lambda = visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_scope

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.ClassDef) -> None:
        self.visit_scope(node)
        self.bind(node.name)
        self.names.defines.add(node.name)

    visit_ClassDef = visit_FunctionDef

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.visit(target)
            self.assign(target, node.value)
        if len(node.targets) > 1:
            self.names.shares.append({name for target in node.targets for name in _roots(target)})

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.visit(node.target)
        self.assign(node.target, node.value)

    def visit_withitem(self, node: ast.withitem) -> None:
        self.generic_visit(node)
        if node.optional_vars:
            self.assign(node.optional_vars, node.context_expr)

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        """Note what becomes of objects: which are changed, and which names they have from now on."""
        match target, value:
            case (ast.Tuple(elts=targets), ast.Tuple(elts=values) | ast.Call(func=ast.Name("zip"), args=values)):
                for each, one in zip(targets, values, strict=False):
                    self.assign(each, one)
                return
        for part in ast.walk(target):
            if isinstance(part, ast.Subscript | ast.Attribute):
                self.names.changes |= _roots(part)
                self.names.sets |= _roots(part)
        self.names.shares.append(_roots(target) | _shared(value))

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        for name in _roots(node.target):
            self.visit(ast.Name(name, ast.Load()))
        self.names.changes |= _roots(node.target)

    def visit_Delete(self, node: ast.Delete) -> None:
        self.generic_visit(node)
        self.names.changes |= {name for each in node.targets for name in _roots(each)}

    def visit_Expr(self, node: ast.Expr) -> None:
        self.generic_visit(node)
        match node.value:
            case ast.Call(func=ast.Name(id=name), args=arguments) if name not in _HARMLESS:
                self.names.passes |= {name for each in arguments for name in _roots(each)}
            case ast.Call(func=ast.Attribute(value=owner, attr=method), args=arguments):
                self.names.changes |= _roots(owner)
                if _SETTING.match(method):
                    self.names.sets |= _roots(owner)
                self.names.seeds |= bool(_SEEDING.match(method))
                if method in _FILLS:
                    self.names.shares.append(_roots(owner).union(*map(_shared, arguments)))

    def visit_Call(self, node: ast.Call) -> None:
        match node:
            case ast.Call(func=ast.Name(id="isinstance"), args=[thing, kinds]):
                drew = self.names.draws
                self.visit(kinds)
                self.names.draws = drew  # a layer that is only named gets no weights
                self.visit(thing)
                return
        self.generic_visit(node)
        match node.func:
            case ast.Attribute(attr=name) | ast.Name(id=name) if name.endswith("_") or name in _CHANGES_ARGUMENTS:
                self.names.changes |= _roots(node.func).union(*map(_roots, node.args))
        self.names.changes |= {name for each in node.keywords if each.arg == "out" for name in _roots(each.value)}


def _roots(node: ast.expr) -> set[str]:
    """The names at the root of `x`, `x.y[0]`, `x.f().g` or of each element of a tuple."""
    match node:
        case ast.Name(id=name):
            return {name}
        case ast.Attribute(value=value) | ast.Subscript(value=value) | ast.Starred(value=value):
            return _roots(value)
        case ast.Call(func=function):
            return _roots(function)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return {name for element in elements for name in _roots(element)}
    return set()


def _shared(node: ast.expr) -> set[str]:
    """The names whose objects may be, or hold, or share memory with, what an expression gives."""
    match node:
        case ast.Constant() | ast.BinOp() | ast.UnaryOp() | ast.Compare() | ast.JoinedStr():
            return set()
        case ast.Call(func=ast.Attribute(attr=name)) if name in _COPIES:
            return set()
        case ast.Name(id=name):
            return {name}
        case ast.Subscript(value=value):
            return _shared(value)
    return {name for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr) for name in _shared(child)}


def needed(page: Page, block: Block) -> tuple[list[str], list[Block]]:
    """What a block needs from above, in the order of the page.

    An answer to an exercise is taken together with its check, and no other block needs it: it leaves nothing behind.

    Returns:
        Import statements that stand in other blocks than those, and blocks.
    """
    before = page.blocks[: page.blocks.index(block)]
    earlier = [(each, names_of(each.source)) for each in before if not each.is_answer]
    imported = {name: text for _, names in earlier for name, text in names.imports.items()}
    histories = _histories([names for _, names in earlier], vars(builtins).keys() | imported.keys())
    own = names_of(block.source + (block.check.source if block.check else ""))
    wanted, unseeded = own.uses, own.draws and not own.seeds
    imports: set[str] = set()
    blocks: list[Block] = []
    for (each, names), history in reversed(list(zip(earlier, histories, strict=True))):
        changed = history.changed & history.objects(wanted) or names.sets & imported.keys() & wanted
        if changed or (unseeded and names.seeds) or wanted & (names.binds | names.may_bind):
            blocks.insert(0, each)
            wanted = wanted - names.binds - names.imports.keys() | names.uses
            unseeded = not names.seeds and (unseeded or names.draws)
        else:
            imports |= {names.imports[name] for name in wanted & names.imports.keys()}
            wanted -= names.imports.keys()
    return sorted(imports), blocks


Object = tuple[str, int]
"""What a name stands for since a block bound it: the name, and the number of the block."""


@dataclass
class _History:
    """What became of objects up to the end of a block.

    Attributes:
        bound: The block that has bound a name last.
        changed: The objects that the block may change in place.
    """

    bound: dict[str, int]
    changed: set[Object]

    def objects(self, names: Iterable[str]) -> set[Object]:
        return {(name, self.bound.get(name, -1)) for name in names}


def _histories(blocks: Sequence[Names], kept: Iterable[str]) -> list[_History]:
    """One history for each block.

    Args:
        kept: Names of what is neither changed nor shared with what it makes, unless the page binds them.
    """
    defined = {name for names in blocks for name in names.defines}
    kept = set(kept) - {name for names in blocks for name in names.may_bind}
    histories: list[_History] = []
    groups: list[set[Object]] = []
    now = _History({}, set())
    for at, names in enumerate(blocks):
        old, now = now, _History(now.bound | dict.fromkeys(names.binds, at), set())
        for each in names.shares:
            group = each - kept - defined  # a function shares nothing with what it returns
            groups.append(now.objects(group) | old.objects(group & names.uses))
        changes = (names.changes | names.passes - defined) - kept
        now.changed = _all_of(now.objects(changes) | old.objects(changes & names.uses), groups)
        histories.append(now)
    return histories


def _all_of(objects: set[Object], groups: Iterable[set[Object]]) -> set[Object]:
    """Objects, and all that share something with them."""
    while more := {each for group in groups if group & objects for each in group} - objects:
        objects = objects | more
    return objects

"""A constant as people write it, `(1+sqrt(5))/2`: read safely into a small tree, and written again as text or LaTeX."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import NoReturn, TypeAlias

from evo.errors import ConfigError

__all__ = [
    "CONSTANTS",
    "FUNCTIONS",
    "LARGEST_ROOT",
    "Binary",
    "Call",
    "Expression",
    "Name",
    "Negative",
    "Number",
    "atomic",
    "latex",
    "parse",
    "shown",
    "text",
]

LONGEST = 1000  # characters
DEEPEST = 100  # levels of nesting; keeps every walk over a tree well inside Python's own limit
LARGEST_EXPONENT = 1000  # of ten, in a literal such as 1e-6
LARGEST_ORDER = 100  # of a Bessel function spelled I2(x)
LARGEST_ROOT = 1000

# The named numbers, with their LaTeX.
CONSTANTS: Mapping[str, str] = MappingProxyType(
    {
        "e": "e",
        "pi": r"\pi",
        "phi": r"\varphi",
        "gamma": r"\gamma",
        "catalan": "G",
        "khinchin": "K_0",
        "glaisher": "A",
    }
)

# The functions: the names of their arguments, and the LaTeX in front of the bracket (empty where it has another form).
FUNCTIONS: Mapping[str, tuple[tuple[str, ...], str]] = MappingProxyType(
    {
        "sqrt": (("x",), ""),
        "cbrt": (("x",), ""),
        "root": (("x", "n"), ""),
        "exp": (("x",), r"\exp"),
        "log": (("x",), r"\log"),
        "sin": (("x",), r"\sin"),
        "cos": (("x",), r"\cos"),
        "tan": (("x",), r"\tan"),
        "cot": (("x",), r"\cot"),
        "sec": (("x",), r"\sec"),
        "csc": (("x",), r"\csc"),
        "asin": (("x",), r"\arcsin"),
        "acos": (("x",), r"\arccos"),
        "atan": (("x",), r"\arctan"),
        "sinh": (("x",), r"\sinh"),
        "cosh": (("x",), r"\cosh"),
        "tanh": (("x",), r"\tanh"),
        "coth": (("x",), r"\coth"),
        "sech": (("x",), r"\operatorname{sech}"),
        "csch": (("x",), r"\operatorname{csch}"),
        "asinh": (("x",), r"\operatorname{arsinh}"),
        "acosh": (("x",), r"\operatorname{arcosh}"),
        "atanh": (("x",), r"\operatorname{artanh}"),
        "Gamma": (("x",), r"\Gamma"),
        "zeta": (("x",), r"\zeta"),
        "besseli": (("n", "x"), "I"),
        "besselj": (("n", "x"), "J"),
    }
)

_OTHER_SPELLINGS = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "G": "catalan"}
_LETTERS = str.maketrans({"π": "pi", "φ": "phi", "ϕ": "phi", "·": "*"} | {0x3B3: "gamma", 0x2212: "-", 0xD7: "*"})
_READABLE = re.compile(r"[A-Za-z0-9_+\-*/^(),.\s]*")
_BESSEL = re.compile(r"([IJ])(\d+)")
_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "^"}
_SUM, _PRODUCT, _POWER, _ATOM = 1, 2, 3, 4
_LEVELS = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "^": _POWER}


@dataclass(frozen=True)
class Number:
    """A whole number, 0 or more."""

    value: int


@dataclass(frozen=True)
class Name:
    """One of `CONSTANTS`."""

    name: str


@dataclass(frozen=True)
class Negative:
    """Minus the operand."""

    operand: Expression


@dataclass(frozen=True)
class Binary:
    """Two operands joined by one of + - * / ^."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True)
class Call:
    """One of `FUNCTIONS` with as many arguments as it takes."""

    function: str
    arguments: tuple[Expression, ...]


Expression: TypeAlias = Number | Name | Negative | Binary | Call


def parse(source: str) -> Expression:
    """The tree of an expression in numbers, names, functions, brackets and + - * / ^ (or ** for a power).

    Decimals are exact rationals, every product is written with *, and nothing is ever executed. `exp(x)` is read as
    e^x, `ln` as `log`, `ln2` as `log(2)`, `I1(x)` as `besseli(1, x)`.

    Raises:
        ConfigError: not such an expression, an unknown name, a wrong number of arguments, too long or too deep.
    """
    source = " ".join(source.translate(_LETTERS).split()).replace("^", "**")
    if not source:
        raise ConfigError("constant: expected an expression such as 'e' or 'sqrt(2)', got an empty text")
    if len(source) > LONGEST:
        raise ConfigError(f"constant: expected at most {LONGEST} characters, got {len(source)}")
    if not _READABLE.fullmatch(source):
        _unreadable(source)
    try:
        tree = ast.parse(source, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        _unreadable(source)
    return _Reader(source).expression(tree.body, 0)


def shown(source: str) -> str:
    """The text in quotes as error messages show it, cut where it is long."""
    return repr(source if len(source) <= 60 else source[:57] + "...")


def _unreadable(source: str) -> NoReturn:
    raise ConfigError(
        f"constant: cannot read {shown(source)}: expected numbers, names, functions, brackets and + - * / ^, "
        "with every product written as in 2*pi (not 2pi)"
    ) from None


class _Reader:
    """Turns Python's syntax tree of one source text into ours, node by node."""

    def __init__(self, source: str) -> None:
        self.source = source

    def expression(self, node: ast.expr, depth: int) -> Expression:
        if depth > DEEPEST:
            raise ConfigError(f"constant: expected at most {DEEPEST} levels of nesting in {shown(self.source)}")
        match node:
            case ast.Constant():
                return self.number(node)
            case ast.Name(id=name):
                return _name(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Negative(self.expression(operand, depth + 1))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.expression(operand, depth + 1)
            case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
                symbol = _OPERATORS[type(operator)]
                return Binary(symbol, self.expression(left, depth + 1), self.expression(right, depth + 1))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return _call(name, tuple(self.expression(argument, depth + 1) for argument in arguments))
        _unreadable(self.source)

    def number(self, node: ast.Constant) -> Expression:
        if type(node.value) is int:
            return Number(node.value)
        literal = ast.get_source_segment(self.source, node) or ""
        exponent = re.fullmatch(r"[\d_.]+[eE]([+-]?\d+)", literal)
        if type(node.value) is not float:
            _unreadable(self.source)
        if exponent and abs(int(exponent[1])) > LARGEST_EXPONENT:
            raise ConfigError(f"constant: expected an exponent of at most {LARGEST_EXPONENT}, got {shown(literal)}")
        value = Fraction(literal)
        whole = Number(value.numerator)
        return whole if value.denominator == 1 else Binary("/", whole, Number(value.denominator))


def _name(name: str) -> Expression:
    name = _OTHER_SPELLINGS.get(name, name)
    if name in CONSTANTS:
        return Name(name)
    if name == "ln2":
        return Call("log", (Number(2),))
    if name in FUNCTIONS or _BESSEL.fullmatch(name):
        raise ConfigError(f"constant: {name!r} is a function, not a number: write {_usage(name)}")
    raise _unknown(name)


def _call(name: str, arguments: tuple[Expression, ...]) -> Expression:
    name = _OTHER_SPELLINGS.get(name, name)
    if name == "gamma":
        raise ConfigError("constant: 'gamma' is the number 0.5772...: the gamma function is spelled Gamma(x)")
    if name in CONSTANTS:
        raise ConfigError(f"constant: {name!r} is a number, not a function: write products with *")
    bessel = _BESSEL.fullmatch(name)
    if name not in FUNCTIONS and not bessel:
        raise _unknown(name)
    expected = 1 if bessel else len(FUNCTIONS[name][0])
    if len(arguments) != expected:
        raise ConfigError(
            f"constant: {name} takes {expected} argument{'s' * (expected > 1)}, got {len(arguments)}: "
            f"write {_usage(name)}"
        )
    if bessel:
        if int(bessel[2][:9]) > LARGEST_ORDER:
            raise ConfigError(f"constant: expected an order of at most {LARGEST_ORDER} in {name!r}")
        return Call("besseli" if bessel[1] == "I" else "besselj", (Number(int(bessel[2])), *arguments))
    if name == "root":
        match arguments[1]:
            case Number(value=order) if 2 <= order <= LARGEST_ROOT:
                return Call(name, arguments)
        raise ConfigError(f"constant: root(x, n) takes a whole number n from 2 to {LARGEST_ROOT}")
    if name == "exp":
        return Name("e") if arguments == (Number(1),) else Binary("^", Name("e"), arguments[0])
    return Call(name, arguments)


def _usage(name: str) -> str:
    names = ("x",) if name not in FUNCTIONS else FUNCTIONS[name][0]
    return "zeta(3)" if name == "zeta" else f"{name}({', '.join(names)})"


def _unknown(name: str) -> ConfigError:
    known = [*CONSTANTS, *FUNCTIONS, *_OTHER_SPELLINGS, "ln2", "I0", "I1", "J0", "J1"]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"known numbers: {', '.join(CONSTANTS)}"
    return ConfigError(f"constant: unknown name {shown(name)}: {hint}")


def atomic(tree: Expression) -> bool:
    """Whether its text needs no brackets as a factor or as the base of a power."""
    return _level(tree) == _ATOM


def _level(tree: Expression) -> int:
    match tree:
        case Binary(operator=operator):
            return _LEVELS[operator]
        case Negative():
            return _PRODUCT
    return _ATOM


def text(tree: Expression) -> str:
    """The expression in its normal spelling, without a needless bracket or space; `parse` gives the same tree back."""
    match tree:
        case Number(value=value):
            return str(value)
        case Name(name=name):
            return name
        case Negative(operand=operand):
            return "-" + _bracketed(operand, _POWER)
        case Binary(operator="^", left=left, right=right):
            return f"{_bracketed(left, _ATOM)}^{_bracketed(right, _POWER)}"
        case Binary(operator=operator, left=left, right=right):
            level = _LEVELS[operator]
            # A sign never follows an operator directly: a*(-b).
            strict = _ATOM if isinstance(right, Negative) else level + 1
            return f"{_bracketed(left, level)}{operator}{_bracketed(right, strict)}"
        case Call(function="besseli" | "besselj" as function, arguments=(Number(value=order), argument)) if (
            order <= LARGEST_ORDER
        ):
            return f"{'I' if function == 'besseli' else 'J'}{order}({text(argument)})"
        case Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(text, arguments))})"


def _bracketed(tree: Expression, level: int) -> str:
    return text(tree) if _level(tree) >= level else f"({text(tree)})"


def latex(tree: Expression) -> str:
    r"""The expression in LaTeX's mathematics: `\frac{I_1(2)}{I_0(2)}`, `e^{2}`."""
    match tree:
        case Number(value=value):
            return str(value)
        case Name(name=name):
            return CONSTANTS[name]
        case Negative(operand=operand):
            return "-" + _enclosed(operand, _PRODUCT)
        case Binary(operator="/", left=left, right=right):
            return rf"\frac{{{latex(left)}}}{{{latex(right)}}}"
        case Binary(operator="^", left=left, right=right):
            return f"{_enclosed(left, _ATOM)}^{{{_exponent(right)}}}"
        case Binary(operator="*", left=left, right=right):
            return _latex_product(left, right)
        case Binary(operator=operator, left=left, right=right):
            strict = _ATOM if isinstance(right, Negative) else _PRODUCT if operator == "-" else _SUM
            return f"{latex(left)} {operator} {_enclosed(right, strict)}"
        case Call(function="sqrt", arguments=(argument,)):
            return rf"\sqrt{{{latex(argument)}}}"
        case Call(function="cbrt", arguments=(argument,)):
            return rf"\sqrt[3]{{{latex(argument)}}}"
        case Call(function="root", arguments=(argument, order)):
            return rf"\sqrt[{latex(order)}]{{{latex(argument)}}}"
        case Call(function="besseli" | "besselj" as function, arguments=(order, argument)):
            index = latex(order)
            subscript = index if len(index) == 1 else f"{{{index}}}"
            return f"{FUNCTIONS[function][1]}_{subscript}{_in_brackets(argument)}"
        case Call(function=function, arguments=(argument,)):
            return f"{FUNCTIONS[function][1]}{_in_brackets(argument)}"
    raise AssertionError(tree)


def _latex_product(left: Expression, right: Expression) -> str:
    first = _enclosed(left, _PRODUCT)
    second = _enclosed(right, _ATOM if isinstance(right, Negative) else _PRODUCT)
    # Only a number may stand directly before something: 2 \sqrt{3}, but e \cdot (1+e), which is no function.
    beside = isinstance(left, Number) and not second[0].isdigit()
    return f"{first} {second}" if beside else rf"{first} \cdot {second}"


def _exponent(tree: Expression) -> str:
    match tree:
        case Binary(operator="/", left=Number(value=above), right=Number(value=below)):
            return f"{above}/{below}"  # a fraction bar is too small up there
    return latex(tree)


def _enclosed(tree: Expression, level: int) -> str:
    return latex(tree) if _level(tree) >= level else _in_brackets(tree)


def _in_brackets(tree: Expression) -> str:
    inner = latex(tree)
    tall = any(mark in inner for mark in (r"\frac", r"\sqrt", "^", r"\left"))
    return rf"\left({inner}\right)" if tall else f"({inner})"

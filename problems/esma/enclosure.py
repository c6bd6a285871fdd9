"""Balls around the values of expressions: interval arithmetic with more and more bits until a ball is small enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evo.errors import ConfigError
from problems.esma import expression
from problems.esma.algebraic import as_fraction, flint_library
from problems.esma.expression import LARGEST_ROOT, Binary, Call, Expression, Name, Negative, Number, shown

if TYPE_CHECKING:
    from flint import arb

__all__ = ["FINEST", "enclose"]

LARGEST = 1 << 12  # bits of any intermediate value
SMALLEST = -(1 << 20)  # bits of any intermediate value but zero
LARGEST_ARGUMENT = 1 << 20  # of a transcendental function
UNDEFINED_AT = 1 << 12  # extra bits at which what still has no finite value is taken to have none
FINEST = 1 << 16  # extra bits at which an enclosure is given up


class _UndefinedError(Exception):
    """No finite value at this precision; the message says what has none."""


def enclose(tree: Expression, bits: int) -> arb:
    """A ball of radius < 2**-bits around the value of an expression; works with ever more bits until it is one."""
    flint = flint_library()
    extra = 64
    while extra <= FINEST:
        try:
            with flint.ctx.workprec(bits + extra):
                ball = _value(tree)
                if ball.rad() < flint.arb(2) ** -bits:
                    return ball
        except _UndefinedError as error:
            if extra >= UNDEFINED_AT:
                raise ConfigError(f"constant: {error}") from error
        extra *= 2
    raise ConfigError(f"constant: {shown(expression.text(tree))} cannot be enclosed to {bits} bits")


def _value(tree: Expression) -> arb:
    """A ball around the value of an expression, at flint's working precision."""
    flint = flint_library()
    match tree:
        case Number(value=value):
            ball: arb = flint.arb(flint.fmpz(value))
        case Name(name=name):
            ball = _named(name)
        case Negative(operand=operand):
            ball = -_value(operand)
        case Binary(operator="^", left=left, right=right):
            ball = _power(left, right)
        case Binary(operator=operator, left=left, right=right):
            ball = _arithmetic(operator, _value(left), _value(right), tree)
        case Call(function=function, arguments=arguments):
            ball = _function(function, [_value(argument) for argument in arguments])
    return _checked(ball, tree)


def _checked(ball: arb, tree: Expression) -> arb:
    flint = flint_library()
    if not ball.is_finite():
        raise _UndefinedError(
            f"{shown(expression.text(tree))} is not a finite real number: it is complex, a pole, or too close to one"
        )
    if abs(ball) > flint.arb(2) ** LARGEST:
        raise ConfigError(f"constant: {shown(expression.text(tree))} is too large: expected less than 2^{LARGEST}")
    if not ball.is_zero() and abs(ball) < flint.arb(2) ** SMALLEST:
        raise ConfigError(f"constant: {shown(expression.text(tree))} is too close to zero, below 2^{SMALLEST}")
    return ball


def _named(name: str) -> arb:
    real: Any = flint_library().arb
    match name:
        case "phi":
            ball: arb = (1 + real(5).sqrt()) / 2
        case "pi":
            ball = real.pi()
        case "gamma":
            ball = real.const_euler()
        case _:
            ball = getattr(real, f"const_{name}")()
    return ball


def _arithmetic(operator: str, first: arb, second: arb, tree: Expression) -> arb:
    match operator:
        case "+":
            return first + second
        case "-":
            return first - second
        case "*":
            return first * second
    if second.contains(0):
        raise _UndefinedError(
            f"division by zero: the divisor in {shown(expression.text(tree))} is zero or cannot be told apart from it"
        )
    return first / second


def _power(base: Expression, exponent: Expression) -> arb:
    flint = flint_library()
    above = _value(exponent)
    if base == Name("e"):
        return _limited(above, "exp").exp()
    below = _value(base)
    rational = as_fraction(exponent)
    if rational is not None and rational.denominator > 1 and below < 0:
        raise ConfigError(
            f"constant: a negative number to the power {shown(expression.text(exponent))} is complex: "
            "write cbrt(x) or root(x, n) for odd roots"
        )
    ball: arb = below**above
    if rational is not None and rational.denominator <= LARGEST_ROOT:
        root = below if rational.denominator == 1 else below.root(rational.denominator)
        ball = root ** flint.fmpz(rational.numerator)
    return ball


def _function(name: str, arguments: list[arb]) -> arb:
    x = arguments[0]
    match name:
        case "sqrt":
            return x.sqrt()
        case "cbrt":
            return _real_root(x, 3)
        case "root":
            return _real_root(x, int(arguments[1].unique_fmpz() or 0))
        case "log":
            return x.log()
        case "besseli" | "besselj":
            order, argument = (_limited(value, name) for value in arguments)
            return argument.bessel_i(order) if name == "besseli" else argument.bessel_j(order)
        case "Gamma":
            return _limited(x, name).gamma()
    found: arb = getattr(_limited(x, name), name)()
    return found


def _real_root(x: arb, order: int) -> arb:
    if order % 2 and x < 0:
        return -((-x).root(order))
    return x.root(order)


def _limited(x: arb, name: str) -> arb:
    if abs(x) > LARGEST_ARGUMENT:
        raise ConfigError(f"constant: expected arguments of {name} within {LARGEST_ARGUMENT}, got a larger one")
    return x

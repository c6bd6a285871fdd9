"""Exact algebraic numbers: the minimal polynomial of a constant built from whole numbers, roots and + - * / ^."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from math import comb
from typing import TYPE_CHECKING, Any, TypeAlias

from evo.errors import ConfigError, EvoError
from evo.store.extras import need
from problems.esma.expression import Binary, Call, Expression, Name, Negative, Number, shown, text

if TYPE_CHECKING:
    from flint import arb, fmpq, fmpz_poly

__all__ = ["as_fraction", "flint_library", "minimal_polynomial", "rational_powers", "simple_rational"]

LARGEST_DEGREE = 36  # of any part of the expression
LARGEST_PRODUCT = 144  # of the degrees of two parts that are added or multiplied
LARGEST_HEIGHT = 1 << 14  # bits: limits what a step may cost
SIMPLE = 1 << 64  # denominators of rational numbers recognised from a ball are smaller
FINEST = 1 << 14  # bits at which two conjugates are given up as too close to tell apart

Enclose: TypeAlias = "Callable[[Expression, int], arb]"  # a ball of radius < 2**-bits around an expression's value


@cache
def flint_library() -> Any:
    """The module `flint`.

    Raises:
        ConfigError: python-flint is not installed.
    """
    try:
        return need("flint", "esma", "constant: certified arithmetic")
    except EvoError as error:
        raise ConfigError(str(error)) from error


def minimal_polynomial(tree: Expression, enclose: Enclose) -> fmpz_poly | None:
    """The primitive irreducible integer polynomial, leading coefficient positive, of the expression's value.

    Of degree 1 for a rational value. None where a part is not built from whole numbers, phi, roots and rational powers,
    or where degree or coefficients grow beyond the limits above. Every part gets an integer polynomial that vanishes at
    it; of its irreducible factors the one is kept that vanishes on an enclosure on which no other does.

    Args:
        tree: an expression that `enclose` can enclose.
        enclose: gives a ball of radius < 2**-bits around the value of an expression.

    Raises:
        ConfigError: a rational number too large to be handled.
    """
    found = _annihilating(tree, enclose)
    return None if found is None else _irreducible(found, tree, enclose)


def as_fraction(tree: Expression) -> Fraction | None:
    """The value of an expression in whole numbers and + - * / ^; None for any other, and for one too large to handle.

    The expression must be defined: nothing divides by zero.
    """
    match tree:
        case Number(value=value):
            return Fraction(value)
        case Negative(operand=operand):
            inner = as_fraction(operand)
            return None if inner is None else -inner
        case Binary(operator=operator, left=left, right=right):
            first, second = as_fraction(left), as_fraction(right)
            return None if first is None or second is None else _operate(operator, first, second)
    return None


def rational_powers(polynomial: tuple[int, ...] | None, degree: int) -> dict[int, Fraction]:
    """|c|**i for those i of 1..degree for which it is rational, from c's minimal polynomial."""
    if polynomial is None:
        return {}
    found = {}
    size = len(polynomial) - 1
    power = [Fraction(1)] + [Fraction(0)] * (size - 1)
    for i in range(1, degree + 1):
        top = power[-1] / polynomial[-1]
        power = [below - top * value for below, value in zip([Fraction(0), *power[:-1]], polynomial[:-1], strict=True)]
        if not any(power[1:]):
            found[i] = abs(power[0])
    return found


def simple_rational(ball: arb) -> Fraction | None:
    """The rational number of smallest denominator in the ball, if that is below SIMPLE."""
    middle, radius = _fraction(ball.mid()), _fraction(ball.rad())
    low, high = middle - radius, middle + radius
    before, last = (0, 1), (1, 0)  # convergents
    while True:
        whole = -(-low.numerator // low.denominator)
        ends = whole <= high
        term = whole if ends else low.numerator // low.denominator
        before, last = last, (term * last[0] + before[0], term * last[1] + before[1])
        if last[1] >= SIMPLE:
            return None
        if ends:
            return Fraction(*last)
        low, high = 1 / (high - term), 1 / (low - term)


def _operate(operator: str, first: Fraction, second: Fraction) -> Fraction | None:
    if operator == "^":
        if second.denominator != 1 or abs(second.numerator) * _bits(first) > LARGEST_HEIGHT:
            return None
        return Fraction(first**second.numerator)
    if _bits(first) + _bits(second) > 2 * LARGEST_HEIGHT:
        return None
    match operator:
        case "+":
            return first + second
        case "-":
            return first - second
        case "*":
            return first * second
    return first / second


def _bits(value: Fraction) -> int:
    return max(abs(value.numerator), value.denominator).bit_length()


def _annihilating(tree: Expression, enclose: Enclose) -> fmpz_poly | None:
    """Some integer polynomial that vanishes at the expression's value, not zero itself."""
    match tree:
        case Number(value=value):
            return _polynomial([-value, 1])
        case Name(name="phi"):
            return _polynomial([-1, -1, 1])
        case Negative(operand=operand):
            inner = minimal_polynomial(operand, enclose)
            return None if inner is None else _negated(inner)
        case Call(function="sqrt", arguments=(operand,)):
            return _root(minimal_polynomial(operand, enclose), 2)
        case Call(function="cbrt", arguments=(operand,)):
            return _root(minimal_polynomial(operand, enclose), 3)
        case Call(function="root", arguments=(operand, Number(value=order))):
            return _root(minimal_polynomial(operand, enclose), order)
        case Binary(left=left, right=right):
            first = minimal_polynomial(left, enclose)
            second = None if first is None else minimal_polynomial(right, enclose)
            return None if first is None or second is None else _joined(tree, first, second, enclose)
    return None


def _joined(tree: Binary, first: fmpz_poly, second: fmpz_poly, enclose: Enclose) -> fmpz_poly | None:
    if first.degree() == second.degree() == 1:
        one, other = _rational(first), _rational(second)
        if tree.operator != "^" or other.denominator == 1:
            return _linear(_operate(tree.operator, one, other), tree)
    if tree.operator == "^":
        return _raised(tree, first, second, enclose)
    if first.degree() * second.degree() * (first.height_bits() + second.height_bits()) > LARGEST_HEIGHT:
        return None
    match tree.operator:
        case "+":
            return _sum(first, second)
        case "-":
            return _sum(first, _negated(second))
        case "*":
            return _product(first, second)
    return _product(first, _reversed(second))


def _linear(value: Fraction | None, tree: Expression) -> fmpz_poly:
    if value is None:
        raise ConfigError(f"constant: the rational numbers in {shown(text(tree))} are too large")
    return _polynomial([-value.numerator, value.denominator])


def _raised(tree: Binary, base: fmpz_poly, exponent: fmpz_poly, enclose: Enclose) -> fmpz_poly | None:
    if exponent.degree() > 1:
        return None  # transcendental, by Gelfond and Schneider, unless the base is 0 or 1
    power = _rational(exponent)
    if power.denominator > 1:
        if power.denominator > LARGEST_PRODUCT:
            return None
        root = minimal_polynomial(Call("root", (tree.left, Number(power.denominator))), enclose)
        if root is None:
            return None
        base = root
    times = abs(power.numerator)
    if times * base.degree() * base.height_bits() > LARGEST_HEIGHT:
        return None
    # The k-th power sum of the n-th powers is the k n-th power sum.
    sums = _power_sums(base, times * base.degree())
    raised = _with_power_sums(sums[::times] if times else [sums[0]] * (base.degree() + 1))
    return _reversed(raised) if power < 0 else raised


def _root(inner: fmpz_poly | None, order: int) -> fmpz_poly | None:
    if inner is None or inner.degree() * order > LARGEST_PRODUCT:
        return None
    return inner.inflate(order)


def _sum(first: fmpz_poly, second: fmpz_poly) -> fmpz_poly:
    """The polynomial of all sums of a root of one and a root of the other."""
    count = first.degree() * second.degree()
    p, q = _power_sums(first, count), _power_sums(second, count)
    zero = p[0] * 0
    return _with_power_sums([sum((comb(k, i) * p[i] * q[k - i] for i in range(k + 1)), zero) for k in range(count + 1)])


def _product(first: fmpz_poly, second: fmpz_poly) -> fmpz_poly:
    """The polynomial of all products of a root of one and a root of the other."""
    count = first.degree() * second.degree()
    return _with_power_sums([p * q for p, q in zip(_power_sums(first, count), _power_sums(second, count), strict=True)])


def _power_sums(polynomial: fmpz_poly, count: int) -> list[fmpq]:
    """The sums of the k-th powers of all roots, k = 0..count, by Newton's identities."""
    rational = flint_library().fmpq
    coefficients = polynomial.coeffs()
    degree = polynomial.degree()
    falling = [rational(value) / coefficients[-1] for value in reversed(coefficients)]
    sums: list[fmpq] = [rational(degree)]
    for k in range(1, count + 1):
        total = rational(0) if k > degree else -k * falling[k]
        for i in range(1, min(k - 1, degree) + 1):
            total -= falling[i] * sums[k - i]
        sums.append(total)
    return sums


def _with_power_sums(sums: list[fmpq]) -> fmpz_poly:
    """The primitive polynomial with these power sums of its roots, k = 0..degree."""
    falling = [flint_library().fmpq(1)]
    for k in range(1, len(sums)):
        total = sum((falling[k - i] * sums[i] for i in range(1, k + 1)), falling[0] * 0)
        falling.append(-total / k)
    rational = flint_library().fmpq_poly(falling[::-1])
    numerator: fmpz_poly = rational.numer()
    return numerator


def _irreducible(polynomial: fmpz_poly, tree: Expression, enclose: Enclose) -> fmpz_poly | None:
    """The factor that vanishes at the expression's value."""
    context = flint_library().ctx
    factors = [factor for factor, _ in polynomial.factor()[1]]
    precision = 128
    while len(factors) > 1 and precision <= FINEST:
        ball = enclose(tree, precision)
        with context.workprec(2 * precision):
            factors = [factor for factor in factors if factor(ball).contains(0)]
        precision *= 2
    if len(factors) != 1 or factors[0].degree() > LARGEST_DEGREE:
        return None
    return factors[0]


def _polynomial(coefficients: list[int]) -> fmpz_poly:
    built: fmpz_poly = flint_library().fmpz_poly(coefficients)
    return built


def _rational(linear: fmpz_poly) -> Fraction:
    return Fraction(-int(linear[0]), int(linear[1]))


def _negated(polynomial: fmpz_poly) -> fmpz_poly:
    """The polynomial of minus the roots."""
    return polynomial(_polynomial([0, -1]))


def _reversed(polynomial: fmpz_poly) -> fmpz_poly:
    """The polynomial of one over the roots, none of which is zero."""
    built: fmpz_poly = flint_library().fmpz_poly(polynomial.coeffs()[::-1])
    return built


def _fraction(exact: arb) -> Fraction:
    mantissa, exponent = (int(part) for part in exact.man_exp())
    return Fraction(mantissa) * Fraction(2) ** exponent

"""A constant: certified enclosures of a real number, written as an expression or as decimals, at any precision."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from evo.errors import ConfigError
from problems.esma import expression
from problems.esma.algebraic import flint_library, minimal_polynomial, rational_powers, simple_rational
from problems.esma.enclosure import FINEST, enclose
from problems.esma.expression import Expression, shown

if TYPE_CHECKING:
    from flint import arb

__all__ = ["Constant"]

_TELLING = 100  # decimals that distinguish a number from all rational ones of denominators below 2^64
TOLD_APART = 1500  # bits at which a constant is compared with simple rational numbers
MOST_DECIMALS = 100_000
LARGEST_DEGREE = 12  # of the minimal polynomials handed out
REMEMBERED = 16  # results per constant and kind

_DECIMAL = re.compile(r"([+-]?)(\d*)\.(\d+)(\.{2,}|…)?")


@dataclass(frozen=True)
class Constant:
    """A real irrational number c, known through balls that certainly contain it.

    Written as an expression (`problems.esma.expression.parse`), it is known to any precision. Written as one decimal
    number, "2.718281828" (dots may follow), it is known to within one unit of its last place. Equal by text and digits;
    a pickle holds no more than those two.

    Args:
        text: the constant as people write it.
        digits: the decimal places that count, for a decimal number of which not every written place is trusted.

    Raises:
        ConfigError: the text is not such an expression, or has no finite real value; the value is rational, or cannot
            be told apart from a simple rational number at 1500 bits; `digits` does not fit; python-flint is missing.
    """

    text: str
    digits: int | None = None
    _remembered: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise ConfigError(f"constant: expected a text such as 'e' or 'sqrt(2)', got {self.text!r}")
        object.__setattr__(self, "text", self.text.strip())
        _ = self._source  # raises here what is wrong

    def __reduce__(self) -> tuple[type[Constant], tuple[str, int | None]]:
        return Constant, (self.text, self.digits)

    @cached_property
    def _source(self) -> _Exact | _Decimal:
        return _understood(self.text, self.digits)

    @property
    def short(self) -> str:
        """The normalised text: `e^2`, `I1(2)/I0(2)`, `2.718281828459...`."""
        return self._source.short

    @property
    def latex(self) -> str:
        r"""LaTeX for mathematics: `e^{2}`, `\frac{I_1(2)}{I_0(2)}`."""
        return self._source.latex

    @property
    def atomic(self) -> bool:
        """Whether `short` and `latex` need no brackets as a factor or as the base of a power."""
        return self._source.atomic

    @property
    def sign(self) -> int:
        """+1 or -1."""
        return self._source.sign

    @property
    def known_bits(self) -> int | None:
        """c is known to within 2**-known_bits; None: to any precision."""
        return self._source.known_bits

    @property
    def minimal_polynomial(self) -> tuple[int, ...] | None:
        """The coefficients, ascending, coprime, the last one positive, of the irreducible polynomial that c solves.

        Of degree 2 to 12; None for constants that are not known to be algebraic, or are of a higher degree.
        """
        return self._source.minimal_polynomial

    def enclosure(self, bits: int) -> arb:
        """A ball of radius < 2**-bits that contains c.

        Raises:
            ConfigError: c is a decimal number of too few digits.
        """
        found: arb = self._recall(("ball", bits), lambda: self._source.ball(bits))
        return found

    def powers(self, degree: int, bits: int) -> list[int]:
        """floor(|c|**i * 2**bits) for i = 0..degree, each of them certain.

        Raises:
            ConfigError: c is a decimal number of too few digits (`certain_bits` says how many bits can be had), or a
                power of c cannot be told apart from a rational number.
        """
        found: list[int] = self._recall(("powers", degree, bits), lambda: self._powers(degree, bits))
        return list(found)

    def certain_bits(self, degree: int) -> int | None:
        """The largest bits for which `powers(degree, bits)` are certain; below 0 when there is none.

        None: all are, because c is known to any precision.
        """
        if self.known_bits is None:
            return None
        low, high = -1, self.known_bits
        while low < high:  # fewer bits are certain whenever more are, but for a floor that happens to lie on an edge
            middle = (low + high + 1) // 2
            if self._floors(degree, middle, self.known_bits) is None:
                high = middle - 1
            else:
                low = middle
        return low

    def _recall(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        if key not in self._remembered:
            made = make()
            while len(self._remembered) >= REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[key] = made
        return self._remembered[key]

    def _powers(self, degree: int, bits: int) -> list[int]:
        if degree < 0 or bits < 0:
            raise ConfigError(f"constant: expected powers of degree >= 0 and bits >= 0, got {degree} and {bits}")
        extra, known = 64, self.known_bits
        while extra <= FINEST:
            fine = bits + extra if known is None else min(bits + extra, known)
            floors = self._floors(degree, bits, fine)
            if floors is not None:
                return floors
            if known is not None and fine == known:
                raise ConfigError(
                    f"constant: {shown(self.text)} is known to {known} bits: too few for {bits} bits of its powers "
                    f"up to {degree}, certain_bits({degree}) is {self.certain_bits(degree)}: write more digits"
                )
            extra *= 2
        raise ConfigError(
            f"constant: a power up to {degree} of {shown(self.short)} cannot be told apart from a rational number: "
            "write it with roots (sqrt, cbrt, root), which are handled exactly"
        )

    def _floors(self, degree: int, bits: int, fine: int) -> list[int] | None:
        """The floors as far as a ball of radius 2**-fine tells them, None if it does not tell one of them."""
        flint = flint_library()
        ball = self.enclosure(fine)
        size = max(0, _magnitude(ball))
        rational = rational_powers(self.minimal_polynomial, degree)
        floors = [1 << bits]
        with flint.ctx.workprec(fine + (size + 1) * (degree + 1) + 64):
            ball, power, scale = abs(ball), flint.arb(1), flint.arb(2) ** bits
            for i in range(1, degree + 1):
                power *= ball
                if i in rational:
                    floors.append((rational[i].numerator << bits) // rational[i].denominator)
                    continue
                whole = (power * scale).floor().unique_fmpz()
                if whole is None:
                    return None
                floors.append(int(whole))
        return floors


@dataclass(frozen=True)
class _Decimal:
    """A number known to within one unit of a decimal place."""

    short: str
    latex: str
    sign: int
    value: Fraction
    places: int
    known_bits: int
    atomic: bool = False
    minimal_polynomial: tuple[int, ...] | None = None

    def ball(self, bits: int) -> arb:
        if bits > self.known_bits:
            raise ConfigError(
                f"constant: {self.short} is known to {self.places} decimals, {self.known_bits} bits, "
                f"and {bits} bits are needed: write more digits, or an expression"
            )
        flint = flint_library()
        whole = abs(self.value.numerator).bit_length()
        with flint.ctx.workprec(whole + self.known_bits + 64):
            middle = flint.arb(_fmpq(self.value))
            found: arb = flint.arb(middle, flint.arb(_fmpq(Fraction(1, 10**self.places))))
        return found


@dataclass(frozen=True)
class _Exact:
    """The value of an expression."""

    tree: Expression
    short: str
    latex: str
    atomic: bool
    sign: int
    minimal_polynomial: tuple[int, ...] | None
    known_bits: None = None

    def ball(self, bits: int) -> arb:
        return enclose(self.tree, bits)


@lru_cache(maxsize=64)
def _understood(text: str, digits: int | None) -> _Exact | _Decimal:
    decimal = _DECIMAL.fullmatch(text)
    if decimal:
        return _decimal(text, decimal, digits)
    if digits is not None:
        raise ConfigError(
            f"constant_digits: only a constant written as one decimal number has digits that count, got {digits} for "
            f"{shown(text)}: leave it out"
        )
    return _exact(text)


def _decimal(text: str, written: re.Match[str], digits: int | None) -> _Decimal:
    sign, whole, fraction, _ = written.groups()
    if len(whole) + len(fraction) > MOST_DECIMALS:
        raise ConfigError(f"constant: expected at most {MOST_DECIMALS} digits, got {len(whole) + len(fraction)}")
    if digits is not None and not 1 <= digits <= len(fraction):
        raise ConfigError(
            f"constant_digits: expected 1 to {len(fraction)}, the decimal places of {shown(text)}, got {digits}"
        )
    places = digits or len(fraction)
    # By way of flint, because Python refuses to read very long numbers.
    value = Fraction(int(flint_library().fmpz(whole + fraction)), 10 ** len(fraction))
    if value * 10**places <= 1:
        raise ConfigError(f"constant: {shown(text)} cannot be told apart from zero: write more digits")
    simple = _simple(value, places)
    if simple is not None:
        raise ConfigError(
            f"constant: {shown(text)} cannot be told apart from the rational number {_brief(simple)} and is taken to "
            "be that: its continued fraction is finite; give an irrational number"
        )
    short = f"{'-' if sign == '-' else ''}{whole or '0'}.{fraction[: min(places, 12)]}"
    minus = -1 if sign == "-" else 1
    return _Decimal(short + "...", short + r"\ldots", minus, minus * value, places, (10**places).bit_length() - 1)


def _simple(value: Fraction, places: int) -> Fraction | None:
    """The simple rational number that the decimals agree with, where they are enough to tell others apart."""
    flint = flint_library()
    if places < _TELLING:
        return None
    with flint.ctx.workprec(4 * _TELLING):
        return simple_rational(flint.arb(_fmpq(value), flint.arb(10) ** -_TELLING))


def _exact(source: str) -> _Exact:
    tree = expression.parse(source)
    ball = enclose(tree, TOLD_APART)
    polynomial = minimal_polynomial(tree, enclose)
    hint = "its continued fraction is finite; give an irrational number such as e or sqrt(2)"
    if polynomial is not None and polynomial.degree() == 1:
        value = Fraction(-int(polynomial[0]), int(polynomial[1]))
        raise ConfigError(f"constant: {shown(source)} is the rational number {_brief(value)}: {hint}")
    near = simple_rational(ball) if polynomial is None else None
    if near is not None:
        raise ConfigError(
            f"constant: {shown(source)} cannot be told apart from the rational number {_brief(near)} at {TOLD_APART} "
            f"bits and is taken to be that: {hint}"
        )
    coefficients = None
    if polynomial is not None and polynomial.degree() <= LARGEST_DEGREE:
        coefficients = tuple(int(value) for value in polynomial.coeffs())
    return _Exact(
        tree,
        expression.text(tree),
        expression.latex(tree),
        expression.atomic(tree),
        1 if _enclose_sign(tree, ball) > 0 else -1,
        coefficients,
    )


def _brief(value: Fraction) -> str:
    # Python refuses to write very long numbers.
    return str(value) if max(abs(value.numerator), value.denominator) < 10**40 else "of more than 40 digits"


def _enclose_sign(tree: Expression, ball: arb) -> arb:
    """A ball around a value that is certainly not zero, small enough to tell its sign."""
    bits = TOLD_APART
    while ball.contains(0):
        bits *= 2
        ball = enclose(tree, bits)
    return ball


def _fmpq(value: Fraction) -> Any:
    return flint_library().fmpq(value.numerator, value.denominator)


def _magnitude(ball: arb) -> int:
    """The least n with |x| < 2**n for all x of the ball, or one more."""
    mantissa, exponent = (int(part) for part in ball.abs_upper().mid().man_exp())
    return mantissa.bit_length() + exponent + 1

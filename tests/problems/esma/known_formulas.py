"""Forty known formulas as plain data: the world must rediscover them, and its parts must agree about them.

The left-hand side is |P(c)/Q(c)| with ascending coefficients, the terms are the preperiod followed by interlaced
polynomials in Newton coefficients (for a + b m the same as (a, b)), the rate is digits per term over convergents
50 to 100, and the digits are those to which 700 terms agree with the constant (1399: at least).
"""

from __future__ import annotations

from typing import NamedTuple

from problems.esma.formula import Formula

__all__ = ["KNOWN", "Known"]


class Known(NamedTuple):
    """One formula, with its left-hand side and its a_n as text."""

    constant: str
    left: str
    numerator: tuple[int, ...]
    denominator: tuple[int, ...]
    signs: tuple[int, ...]
    preperiod: tuple[int, ...]
    polynomials: tuple[tuple[int, ...], ...]
    written: str
    order: int
    digits: float
    rate: float

    def formula(self) -> Formula:
        return Formula(self.numerator, self.denominator, self.signs, self.preperiod, self.polynomials)

    def __str__(self) -> str:
        return f"{self.left} {self.signs}"


_P, _M, _PM, _MP = (1,), (-1,), (1, -1), (-1, 1)
_ONE, _X, _X_LESS_1, _X_PLUS_1 = (1,), (0, 1), (-1, 1), (1, 1)

# fmt: off
KNOWN: list[Known] = [
    Known("e", "e", _X, _ONE, _P, (2,), ((1,), (2, 2), (1,)), "(1, 2+2m, 1)", 6, 1186.9, 1.287),
    Known("e", "e-1", _X_LESS_1, _ONE, _MP, (), ((2,), (3, 2)), "(2, 3+2m)", 4, 1399, 2.139),
    Known("e", "1/(e-1)", _ONE, _X_LESS_1, _MP, (), ((1, 2), (2,)), "(1+2m, 2)", 4, 1399, 2.133),
    Known("e", "e/(e-1)", _X, _X_LESS_1, _PM, (), ((1, 2), (2,)), "(1+2m, 2)", 4, 1399, 2.134),
    Known("e", "(e+1)/(e-1)", _X_PLUS_1, _X_LESS_1, _P, (), ((2, 4),), "(2+4m)", 2, 1399, 4.851),
    Known("e", "(e+1)/e", _X_PLUS_1, _X, _MP, (), ((2,), (1, 2)), "(2, 1+2m)", 4, 1399, 2.128),
    Known("e", "1/(e-2)", _ONE, (-2, 1), _P, (), ((1,), (2, 2), (1,)), "(1, 2+2m, 1)", 6, 1189.6, 1.329),
    Known("e", "(e-1)/(e-2)", _X_LESS_1, (-2, 1), _PM, (), ((2,), (3, 2)), "(2, 3+2m)", 4, 1399, 2.139),
    Known("e", "(e+1)/(2(e-1))", _X_PLUS_1, (-2, 2), _P, (), ((1, 4), (12, 16)), "(1+4m, 12+16m)", 4, 1399, 4.851),
    Known("e", "2(e+1)/(e-1)", (2, 2), _X_LESS_1, _P, (), ((4, 16), (3, 4)), "(4+16m, 3+4m)", 4, 1399, 4.851),
    Known("e", "(e+1)/2", _X_PLUS_1, (2,), _PM, (), ((1,), (2, 4)), "(1, 2+4m)", 4, 1399, 2.128),
    Known("e", "2/(e-1)", (2,), _X_LESS_1, _MP, (), ((2, 4), (1,)), "(2+4m, 1)", 4, 1399, 2.133),
    Known("e", "2(e-1)/e", (-2, 2), _X, _P, (), ((1,), (3,), (1, 2), (3,), (1,), (1, 2)),
          "(1, 3, 1+2m, 3, 1, 1+2m)", 12, 1187.9, 1.296),
    Known("e", "e/(e-2)", _X, (-2, 1), _P, (), ((3,), (1, 2), (3,), (1,), (1, 2), (1,)),
          "(3, 1+2m, 3, 1, 1+2m, 1)", 12, 1189.3, 1.319),
    Known("e", "(2e+1)/(e+1)", (1, 2), _X_PLUS_1, _MP, (2, 3, 2, 1, 2), ((2,), (5, 2)), "(2, 5+2m)", 4, 1399, 2.122),
    Known("e", "(2e+1)/(e+1)", (1, 2), _X_PLUS_1, _P, (1, 1, 2), ((1,), (2, 2), (1,)),
          "(1, 2+2m, 1)", 6, 1185.0, 1.317),
    Known("e", "2e", (0, 2), _ONE, _P, (5, 2), ((3,), (2, 2), (3,), (1,), (2, 2), (1,)),
          "(3, 2+2m, 3, 1, 2+2m, 1)", 12, 1192.5, 1.335),
    Known("e", "e/2", _X, (2,), _P, (1, 2), ((1, 2), (3,), (1,), (1, 2), (1,), (3,)),
          "(1+2m, 3, 1, 1+2m, 1, 3)", 12, 1187.7, 1.296),
    Known("e^2", "e^2", _X, _ONE, _P, (7,), ((2, 3), (1,), (1,), (3, 3), (18, 12)),
          "(2+3m, 1, 1, 3+3m, 18+12m)", 10, 1399, 2.281),
    Known("e^2", "(e^2-1)/2", _X_LESS_1, (2,), _P, (), ((3, 2),), "(3+2m)", 2, 1399, 4.273),
    Known("e^2", "(e^2+1)/(e^2-1)", _X_PLUS_1, _X_LESS_1, _P, (), ((1, 2),), "(1+2m)", 2, 1399, 4.261),
    Known("e^2", "2e^2/(e^2+1)", (0, 2), _X_PLUS_1, _P, (1,), ((1, 2),), "(1+2m)", 2, 1399, 4.25),
    Known("e^2", "2e^2/(e^2-1)", (0, 2), _X_LESS_1, _P, (2,), ((3, 2),), "(3+2m)", 2, 1399, 4.261),
    Known("tan(1)", "tan(1)", _X, _ONE, _P, (), ((1,), (1, 2)), "(1, 1+2m)", 4, 1399, 1.844),
    Known("tan(1)", "1/tan(1)", _ONE, _X, _M, (), ((1, 2),), "(1+2m)", 2, 1399, 4.261),
    Known("tan(1)", "tan(1)/(tan(1)-1)", _X, _X_LESS_1, _M, (), ((3, 2),), "(3+2m)", 2, 1399, 4.273),
    Known("tan(1)", "(tan(1)+1)/tan(1)", _X_PLUS_1, _X, _M, (2,), ((3, 2),), "(3+2m)", 2, 1399, 4.261),
    Known("tan(1/2)", "1/tan(1/2)", _ONE, _X, _P, (1,), ((1,), (4, 4)), "(1, 4+4m)", 4, 1399, 2.134),
    Known("tan(1/2)", "1/tan(1/2)", _ONE, _X, _M, (), ((2, 4),), "(2+4m)", 2, 1399, 4.851),
    Known("I1(2)/I0(2)", "I0(2)/I1(2)", _ONE, _X, _P, (), ((1, 1),), "(1+m)", 2, 1399, 3.677),
    Known("I1(1)/I0(1)", "I0(1)/I1(1)", _ONE, _X, _P, (), ((2, 2),), "(2+2m)", 2, 1399, 4.267),
    Known("J1(2)/J0(2)", "J0(2)/J1(2)", _ONE, _X, _M, (), ((1, 1),), "(1+m)", 2, 1399, 3.677),
    Known("J1(1)/J0(1)", "J0(1)/J1(1)", _ONE, _X, _M, (), ((2, 2),), "(2+2m)", 2, 1399, 4.267),
    Known("sqrt(e)", "sqrt(e)", _X, _ONE, _P, (), ((1,), (1, 4), (1,)), "(1, 1+4m, 1)", 6, 1324.7, 1.516),
    Known("sqrt(e)", "sqrt(e)/(sqrt(e)-1)", _X, _X_LESS_1, _PM, (), ((2, 4), (2,)), "(2+4m, 2)", 4, 1399, 2.429),
    Known("e^(1/3)", "e^(1/3)/(e^(1/3)-1)", _X, _X_LESS_1, _PM, (), ((3, 6), (2,)), "(3+6m, 2)", 4, 1399, 2.601),
    Known("phi", "phi", _X, _ONE, _P, (), ((1,),), "(1)", 1, 292.23, 0.4096),
    Known("phi", "phi+1", _X_PLUS_1, _ONE, _M, (), ((3,),), "(3)", 1, 584.82, 0.8192),
    Known("sqrt(2)", "sqrt(2)", _X, _ONE, _P, (1,), ((2,),), "(2)", 1, 535.43, 0.7502),
    Known("sqrt(2)", "(sqrt(2)+1)/(sqrt(2)-1)", _X_PLUS_1, _X_LESS_1, _M, (), ((6,),), "(6)", 1, 1071.0, 1.5),
]
# fmt: on

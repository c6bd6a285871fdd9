"""LaTeX: continued fractions unrolled, the law of their terms, and a document that lists formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from problems.esma.notation import polynomial_text, recurrence_text

__all__ = ["Entry", "Section", "continued_fraction", "escape", "interlacing", "latex_document", "recurrence"]

_SPECIAL = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
}

_HEAD = r"""\documentclass{article}
\usepackage{amsmath}
\usepackage{longtable}
\begin{document}
"""
_TABLE = r"""\begin{longtable}{@{}p{0.72\textwidth}rr@{}}
formula & digits & per term \\
\hline
\endhead
"""


@dataclass(frozen=True)
class Entry:
    """A row of the list: LaTeX for math mode, and how well the formula was checked.

    Args:
        equation: the formula, from `Formula.latex`.
        statements: the law of its terms, from `Formula.statements`.
        digits: decimal digits verified.
        rate: decimal digits per term.
    """

    equation: str
    statements: tuple[str, ...]
    digits: float
    rate: float


@dataclass(frozen=True)
class Section:
    """Formulas under one heading, which is plain text: those of an orbit, say."""

    title: str
    entries: tuple[Entry, ...]


def continued_fraction(terms: Sequence[int], signs: Sequence[int]) -> str:
    r"""a_0 \pm \cfrac{1}{a_1 \pm ...} with all of `terms` (at least one) and dots after the last."""
    last = len(terms) - 1
    text = r"\ddots"
    for n in range(last, -1, -1):
        tail = text if n == last else rf"\cfrac{{1}}{{{text}}}"
        text = f"{terms[n]} {'+' if signs[n % len(signs)] > 0 else '-'} {tail}"
    return text


def interlacing(preperiod: Sequence[int], newton: Sequence[Sequence[int]], signs: Sequence[int]) -> tuple[str, ...]:
    """``a_0 = 2``, ``a_{3m+1} = 1``, ..., and the signs unless all are +, in pieces that a line may break between."""
    start, period = len(preperiod), len(newton)
    pieces = [f"a_{{{n}}} = {a}" for n, a in enumerate(preperiod)]
    pieces += [f"a_{{{_place(period, start + j)}}} = {polynomial_text(row, True)}" for j, row in enumerate(newton)]
    return (*pieces, *_signs(signs), r"m = 0, 1, 2, \dots")


def recurrence(given: Sequence[int], connection: Sequence[int], signs: Sequence[int]) -> tuple[str, ...]:
    """``a_0 = 2``, ``a_1 = 3``, ``a_n = 3 a_{n-1} - a_{n-2}``, where this holds, and the signs unless all are +."""
    law = recurrence_text((), connection).removeprefix("[; ").removesuffix("]")
    pieces = [f"a_{{{n}}} = {a}" for n, a in enumerate(given)]
    indexed = (r"m = 0, 1, 2, \dots",) if len(signs) > 1 else ()
    return (*pieces, law, rf"n \ge {len(given)}", *_signs(signs), *indexed)


def escape(text: str) -> str:
    """Plain text for use outside math mode; letters beyond ASCII become their numbers."""
    plain = text.encode("ascii", "xmlcharrefreplace").decode("ascii")
    return "".join(_SPECIAL.get(letter, letter) for letter in plain)


def latex_document(sections: Sequence[Section], title: str = "Formulas") -> str:
    """An article of its own (amsmath and longtable only) with one table a section."""
    return "".join(
        [
            _HEAD,
            f"\\section*{{{escape(title)}}}\n",
            "Each line gives a continued fraction $a_0 + b_0/(a_1 + b_1/(a_2 + \\cdots))$ with $b_n = 1$ unless said\n",
            "otherwise, the decimal digits verified, and the digits gained per term.\n",
            *map(_section, sections),
            "\\end{document}\n",
        ]
    )


def _section(section: Section) -> str:
    rows = "".join(map(_row, section.entries))
    return f"\n\\subsection*{{{escape(section.title)}}}\n{_TABLE}{rows}\\end{{longtable}}\n"


def _row(entry: Entry) -> str:
    law = ", ".join(f"${statement}$" for statement in entry.statements)
    return f"$\\displaystyle {entry.equation}$\\newline\n{law}\n& {entry.digits:.0f} & {entry.rate:.2f} \\\\[2ex]\n"


def _place(period: int, first: int) -> str:
    return f"{'' if period == 1 else period}m{f'+{first}' if first else ''}"


def _signs(signs: Sequence[int]) -> list[str]:
    if len(signs) == 1:
        return [] if signs[0] > 0 else ["b_n = -1"]
    return [f"b_{{{_place(len(signs), i)}}} = {sign}" for i, sign in enumerate(signs)]

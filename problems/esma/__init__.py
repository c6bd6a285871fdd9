"""ESMA: formulas for mathematical constants, found by going through them all and proved to a thousand digits.

A *left-hand side* is |P(c)/Q(c)| with small integer coefficients. Under a periodic pattern of *signs* it has exactly
one continued fraction; where the terms are *interlaced* integer polynomials, that is a *formula*. One simple continued
fraction, expanded with certainty (`euclid`), gives those of all sign patterns by small integers (`signs`); a law is
looked for in each (`interlaced`, `massey`) and weighed by what it predicts (`cylinder`). `Screen` is the enumeration,
`Verifier` the judge, `Esma` the problem. Importing this package loads none of them.
"""

"""Operators: parents -> children.

An operator owns nothing but its parameters. `vary` takes `arity` aligned batches of parents and returns as many
children, all inside the space, with every random number drawn from the generator that it is handed; parents are left
untouched. An operator that needs a worker (a language model, a long enumeration) overrides `make` instead.

One operator a file: `operators.real` for real vectors, `operators.discrete` for masks, integers, categories,
permutations and products, `operators.chain` to apply one after another. `evo.testing.operators` holds the conformance
check that each of them passes, and that yours can.
"""

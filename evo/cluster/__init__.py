"""The cluster: how a run reaches other processes and other machines.

`shipping` turns the kit of a run (problem, operators, seed) into bytes that any worker can open, and says which
attribute is in the way when it cannot. `layout` makes sure that `evo`, `problems`, `operators` and `workers` are ours
and not folders of the same names that happen to lie where Python looks first.
"""

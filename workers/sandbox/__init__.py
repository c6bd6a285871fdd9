"""Evaluation in child processes: a fork server holds the warmed-up problem, a child does each unit of work.

`client` is the worker's side, `server` the process that forks, `watch` follows the children, `child` is what they do,
`means` and `confine` put them behind what the host offers, `abilities` tells what came of it.
"""

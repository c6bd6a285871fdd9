"""The engine: one loop that asks, logs, dispatches, collects, logs and tells, and knows no world.

`master` is the loop, `order` its policy, `ledger` what is in flight, `dispatch` who does it and what a death means,
`keys` that equal work is done once, `tally` the counts, `rules` when to stop, `replay` how a run is taken up again.
"""

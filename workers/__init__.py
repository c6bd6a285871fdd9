"""Workers: where evaluation happens.

`inline` evaluates in the master's own process, `ray_actor` in long-lived Ray actors, `simulated` on a virtual clock
with drawn evaluation times and injected faults. All three serve the contract of `evo.worker` and pass one test suite.
`evaluation` is what they share: a message's rows become outcomes.
"""

"""The monitor: shows a run to people. It reads the run and changes nothing.

`figures` computes pictures and is the one door to drawing them (`image`, `interactive`); `plot` is ``run.plot``;
`terminal` shows a search while it goes on; `report` closes it with a table and a picture; `showing` asks a problem to
show a genome, in a process of its own with a deadline.
"""

"""A search on nodes of one process tree (`ray.cluster_utils`): one goes, another comes; prints what it saw."""

import json
import sys
import threading
import time
from pathlib import Path

import ray
from ray.cluster_utils import Cluster

import evo
from evo.engine.crew import Group

LONG = 120.0


class Slow(evo.Problem):
    space = evo.Box(-1.0, 1.0, size=3)
    objectives = (evo.Minimize("value"),)
    measures = (evo.Measure("x0", -1.0, 1.0),)
    deadline = 60.0

    def evaluate(self, x):
        if ray.is_initialized():
            time.sleep(0.05)
        return evo.Evaluation([float((x**2).sum())], x[:1])


class Counting:
    """How many workers there were, by and by."""

    def __init__(self):
        self.alive = [0]

    def start(self, header):
        pass

    def update(self, totals):
        if totals["workers"]["alive"] != self.alive[-1]:
            self.alive.append(totals["workers"]["alive"])

    def finish(self, run):
        pass


def searched(folder, **options):
    return evo.search(
        Slow(), evo.MapElites((8,), batch=32), evaluations=2000, seed=3, run_dir=folder, **options
    ).export("canonical", folder.with_suffix(".jsonl"))  # fmt: skip


def wait_for(seen, true):
    end = time.monotonic() + LONG
    while not true(seen.alive[-1]):
        if time.monotonic() > end:
            raise TimeoutError(f"workers: {seen.alive}")
        time.sleep(0.1)


def moved(cluster, seen, node):
    """What happens to the cluster meanwhile."""
    wait_for(seen, lambda alive: alive == 2)
    cluster.remove_node(node, allow_graceful=False)
    wait_for(seen, lambda alive: alive == 1)
    cluster.add_node(num_cpus=2)
    wait_for(seen, lambda alive: alive == 3)


def main(folder):
    expected = searched(folder / "inline").read_bytes()
    arguments = {"object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, **arguments})
    try:
        node = cluster.add_node(num_cpus=1, **arguments)
        seen = Counting()
        found = []

        def search():
            options = {"workers": Group(1, 8), "address": cluster.address, "monitor": seen, "handle_signals": False}
            found.append(searched(folder / "moving", **options))

        searching = threading.Thread(target=search, daemon=True)
        searching.start()
        moved(cluster, seen, node)  # Ray starts nodes on the main thread only
        searching.join(LONG)
        refused = ""
        try:
            unheld = Group(1, 1, evo.Resources(custom={"rare": 1}))
            evo.search(Slow(), evo.Random(), evaluations=10, workers=unheld, address=cluster.address)
        except evo.WorkerError as error:
            refused = str(error)
        said = {"same": found[0].read_bytes() == expected, "alive": seen.alive, "refused": refused}
        print(json.dumps(said))
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

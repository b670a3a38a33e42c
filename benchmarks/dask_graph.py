"""A task graph on Dask: ``python dask_graph.py FILE SLOTS``; a peer, run in its own process.

Each task is a process, as everywhere else here. The cluster is one worker with a thread a slot in
the same process, the leanest that Dask has; the list is what the bare spawner reads.
"""

import json
import subprocess
import sys
from graphlib import TopologicalSorter


def run(argv: list[str], *after: object) -> None:
    """Run a command to its end; ``after`` are those that it waits for."""
    subprocess.run(argv, check=True)


def main(path: str, slots: int) -> None:
    """Run the graph of a file."""
    from distributed import Client, LocalCluster  # type: ignore[import-not-found]

    with open(path, encoding="utf-8") as file:
        tasks = json.load(file)
    options = {"n_workers": 1, "threads_per_worker": slots, "processes": False}
    with (
        LocalCluster(dashboard_address=None, silence_logs=50, **options) as cluster,
        Client(cluster) as client,
    ):
        known: dict[str, object] = {}
        commands = {name: argv for name, argv, _ in tasks}
        sources = {name: after for name, _, after in tasks}
        for name in TopologicalSorter(sources).static_order():
            after = [known[other] for other in sources[name]]
            known[name] = client.submit(run, commands[name], *after, key=name, pure=False)
        client.gather(list(known.values()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

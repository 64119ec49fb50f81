"""The runs of the queue benchmark, and the tables that are printed of them."""

import statistics
from dataclasses import dataclass
from itertools import product

from benchmarks.peers.correctness import MAX_EXECUTIONS, Correctness
from benchmarks.peers.systems import NOTAFLOW, PROCRASTINATE, System


@dataclass(frozen=True)
class Configuration:
    """A queue and how many documents its claim takes, or, where it takes one alone, how many it has in hand at once."""

    system: System
    batch: int
    behaviour: str = ""

    @property
    def claimed_at_once(self) -> int:
        """Documents of one claim."""
        return 1 if self.system is PROCRASTINATE else self.batch

    @property
    def name(self) -> str:
        """The row of the table."""
        how = f"1, {self.batch} in hand" if self.system is PROCRASTINATE else f"{self.batch}"
        return f"{self.system.name}, claims {how}" + (f", {self.behaviour}" if self.behaviour else "")


@dataclass(frozen=True)
class Scenario:
    """The rows in the tables before the work, and whether a transaction stays open meanwhile."""

    name: str
    finished: int = 0
    failed: int = 0
    waiting: int = 0
    held_snapshot: bool = False


@dataclass(frozen=True)
class Measured:
    """One run of one configuration."""

    configuration: str
    scenario: str
    documents: int
    seconds: float  # by the database's clock, first claim to last completion
    wal_bytes: int
    commits: int
    cpu_seconds: float  # of all workers
    claim_milliseconds: list[float]  # one process alone, before the drain
    invalid: str  # why the run does not count; empty when it does


def print_scenario(scenario: Scenario, configurations: list[Configuration], runs: list[Measured]) -> None:
    """Print a row of medians for each configuration."""
    print(f"\n{scenario.name}; medians over the repetitions, and the range of the rate\n")
    heads = ("documents/s (min-max)", "WAL B/doc", "commits/doc", "CPU ms/doc", "claim p50 ms", "p99 ms")
    print(f"{'':36} {heads[0]:>26} {heads[1]:>10} {heads[2]:>12} {heads[3]:>11} {heads[4]:>13} {heads[5]:>8}")
    for configuration in configurations:
        mine = _valid(runs, scenario.name, configuration.name)
        if not mine:
            print(f"{configuration.name:36} {'invalid':>26}")
            continue
        rates = [run.documents / run.seconds for run in mine]
        rate = f"{statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f})"
        wal = statistics.median(run.wal_bytes / run.documents for run in mine)
        commits = statistics.median(run.commits / run.documents for run in mine)
        cpu = statistics.median(1000 * run.cpu_seconds / run.documents for run in mine)
        p50, p99 = _claim_milliseconds(mine, 50), _claim_milliseconds(mine, 99)
        print(f"{configuration.name:36} {rate:>26} {wal:10,.0f} {commits:12.2f} {cpu:11.2f} {p50:13.2f} {p99:8.2f}")
    print(flush=True)


def _valid(runs: list[Measured], scenario: str, configuration: str) -> list[Measured]:
    """Return the runs of a configuration in a scenario that count."""
    return [run for run in runs if (run.scenario, run.configuration) == (scenario, configuration) and not run.invalid]


def _claim_milliseconds(runs: list[Measured], percentile: int) -> float:
    """Return a percentile over the claims of all repetitions."""
    latencies = sorted(latency for run in runs for latency in run.claim_milliseconds)
    return latencies[min(len(latencies) - 1, len(latencies) * percentile // 100)]


def print_comparison(runs: list[Measured]) -> None:
    """Print how this queue stands beside the better peer, one by one and in batches, and beside itself on empty tables.

    A peer is compared by what its claim takes: one with one, ten with ten, or with as many in hand where it takes one alone.
    """
    scenarios = list(dict.fromkeys(run.scenario for run in runs))
    for scenario, batch in product(scenarios, (1, 10)):
        ours = Configuration(NOTAFLOW, batch).name
        empty = _valid(runs, scenarios[0], ours)
        mine = _valid(runs, scenario, ours)
        names = {name for name in (run.configuration for run in runs) if _is_peer(name, batch)}
        peers = [
            statistics.median(run.documents / run.seconds for run in theirs)
            for name in names
            if (theirs := _valid(runs, scenario, name))
        ]
        if not mine or not empty:
            continue
        rate = statistics.median(run.documents / run.seconds for run in mine)
        against = f"{rate / max(peers):.2f} times the better peer's rate, " if peers else ""
        p50, p99 = (
            _claim_milliseconds(mine, percentile) / _claim_milliseconds(empty, percentile) for percentile in (50, 99)
        )
        beside = f"{p50:.2f} times the claim p50 and {p99:.2f} times the p99 of {scenarios[0]}"
        print(f"{scenario}, claims {batch}: {against}{beside}")


def _is_peer(configuration: str, batch: int) -> bool:
    """Whether a row of the table is a peer's, to be compared with claims of `batch` documents."""
    takes = PROCRASTINATE.name in configuration or f"claims {batch}," in f"{configuration},"
    return takes and not configuration.startswith(NOTAFLOW.name)


def print_correctness(results: list[Correctness]) -> None:
    """Print what each queue does with documents of killed and frozen workers."""
    print("\nkilled and frozen workers; a lease or heartbeat of two seconds\n")
    rows: dict[str, list[str]] = {
        "executions of a document that kills its worker": [
            f"{one.poison_executions}, given up" if one.poison_ended else f"{one.poison_executions}, no end"
            for one in results
        ],
        "kill -9 of one of two workers: documents": [str(one.kill_documents) for one in results],
        "  lost": [str(one.kill_lost) for one in results],
        "  begun twice": [str(one.kill_begun_twice) for one in results],
        "  finished and stored twice": [str(one.kill_finished_twice) for one in results],
        "  seconds from the kill to the end": [
            "not in time" if one.kill_seconds_to_end is None else f"{one.kill_seconds_to_end:.1f}" for one in results
        ],
        "resumed worker ends a document that is another's": [
            _yes_or_no(one.late_write_ended_document) for one in results
        ],
        "resumed worker's text is stored": [_yes_or_no(one.late_text_stands) for one in results],
    }
    print(f"{'':50}" + "".join(f"{one.system:>22}" for one in results))
    for name, cells in rows.items():
        print(f"{name:50}" + "".join(f"{cell:>22}" for cell in cells))
    print(
        f"(at most {MAX_EXECUTIONS} executions are tried; the peers store texts in the handler, which nothing fences)"
    )


def _yes_or_no(answer: bool | None) -> str:
    return "not tried" if answer is None else "yes" if answer else "no"

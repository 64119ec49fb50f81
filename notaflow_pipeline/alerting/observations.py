"""Converts check results and ends of runs into observations, with one key for each condition."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote

from notaflow_pipeline.alerting.conditions import Observation


def observation_of_check(
    *,
    asset: str,
    name: str,
    partition: str | None,
    passed: bool,
    observed_at: datetime,
    sentence: str,
    figures: Mapping[str, float | int | str],
    ui_url: str,
) -> Observation:
    """Return a check result as an observation.

    Args:
        asset: the asset's key, parts separated by slashes.
        name: the check's.
        partition: the day that was checked, for checks of single days; each day is a condition of its own.
        passed: the result.
        observed_at: when it was evaluated.
        sentence: its description.
        figures: numbers by name.
        ui_url: where the Dagster UI is.
    """
    of_day = f" for {partition}" if partition else ""
    return Observation(
        key=f"check:{asset}:{name}" + (f":{partition}" if partition else ""),
        failing=not passed,
        observed_at=observed_at,
        title=f"check {name} of {asset}{of_day}",
        sentence=sentence,
        figures=figures,
        link=f"{ui_url.rstrip('/')}/assets/{quote(asset)}?view=checks&checkDetail={quote(name)}",
    )


def observation_of_run(
    *,
    job: str,
    run_id: str,
    partition: str | None,
    error: str | None,
    message: str | None,
    observed_at: datetime,
    ui_url: str,
) -> Observation:
    """Return the end of a run as an observation of its job.

    Args:
        job: its name; the condition is the job's, and ends with the job's next success.
        run_id: whose end it is.
        partition: the day that it worked on.
        error: the class of the error that ended it, None after a success; not its message, which may contain any text.
        message: the description of the failure that is written for people, None without one.
        observed_at: when it ended.
        ui_url: where the Dagster UI is.
    """
    figures = {"run": run_id, **({"day": partition} if partition else {}), **({"error": error} if error else {})}
    return Observation(
        key=f"job:{job}",
        failing=error is not None,
        observed_at=observed_at,
        title=f"job {job}",
        sentence=(
            f"A run of {job} succeeded."
            if error is None
            else f"A run of {job} failed: {message}"
            if message
            else f"A run of {job} failed with {error}. The run's page says where and why; `notaflow doctor` checks database, "
            "storage and engine."
        ),
        figures=figures,
        link=f"{ui_url.rstrip('/')}/runs/{quote(run_id)}",
    )

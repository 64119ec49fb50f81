"""Uses a running Dagster UI through GraphQL, with the queries of its pages."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

QUIET_SECONDS = 2.0
"""A sensor is off once it is stopped and without a tick for so long."""

CODE = {"repositoryLocationName": "notaflow_pipeline", "repositoryName": "__repository__"}

REPOSITORY = """
query ($selector: RepositorySelector!) { repositoryOrError(repositorySelector: $selector) { __typename } }
"""

LAUNCH = """
mutation ($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) { __typename ... on LaunchRunSuccess { run { runId } } }
}
"""

EXECUTE_AGAIN = """
mutation ($run: String!, $strategy: ReexecutionStrategy!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $run, strategy: $strategy}) {
    __typename ... on LaunchRunSuccess { run { runId } }
  }
}
"""

SENSOR = """
query ($selector: SensorSelector!) {
  sensorOrError(sensorSelector: $selector) { ... on Sensor { sensorState { id status ticks(limit: 1) { status } } } }
}
"""

START = """
mutation ($selector: SensorSelector!) { startSensor(sensorSelector: $selector) { __typename } }
"""

STOP = """
mutation ($id: String!) { stopSensor(id: $id) { __typename } }
"""

SCHEDULES = """
query ($selector: RepositorySelector!) {
  schedulesOrError(repositorySelector: $selector) { ... on Schedules { results { scheduleState { id } } } }
}
"""

STOP_SCHEDULE = """
mutation ($id: String!) { stopRunningSchedule(id: $id) { __typename } }
"""

TERMINATE = """
mutation ($run: String!) { terminateRun(runId: $run) { __typename } }
"""

RELOAD = """
mutation ($location: String!) {
  reloadRepositoryLocation(repositoryLocationName: $location) { __typename ... on WorkspaceLocationEntry { loadStatus } }
}
"""

STATUS = """
query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }
"""


@dataclass(frozen=True)
class DagsterUI:
    """A running Dagster UI on loopback."""

    port: int

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            self._ask("{ version }", {})
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False
        return True

    def serves_code(self) -> bool:
        """Whether the code is loaded, without which nothing ticks and nothing can be launched."""
        answer = self._ask(REPOSITORY, {"selector": CODE})["repositoryOrError"]
        return bool(answer["__typename"] == "Repository")

    def launch(self, job: str, **tags: str) -> str:
        """Launch a run of a job; return the run's id."""
        return self._launch({"jobName": job}, tags)

    def answer_to_launch(self, job: str, config: Mapping[str, Any], **tags: str) -> str:
        """Try to launch a run with this config; return what the answer is called."""
        return str(self._launched({"jobName": job}, tags, config)["__typename"])

    def execute_again(self, run_id: str, strategy: str) -> str:
        """Launch a run again, FROM_FAILURE or with ALL_STEPS; return the new run's id."""
        answer = self._ask(EXECUTE_AGAIN, {"run": run_id, "strategy": strategy})["launchRunReexecution"]
        return _id_of(answer)

    def execute_checks(self, *checks: tuple[str, str]) -> str:
        """Run checks alone, each as (asset, name); return the run's id."""
        chosen = [{"assetKey": {"path": [asset]}, "name": name} for asset, name in checks]
        return self._launch({"jobName": "__ASSET_JOB", "assetSelection": [], "assetCheckSelection": chosen}, {})

    def status(self, run_id: str) -> str:
        """SUCCESS, FAILURE, or how far a run has come."""
        return str(self._ask(STATUS, {"run": run_id})["runOrError"]["status"])

    def terminate(self, run_id: str) -> str:
        """Ask a run to end; return what the answer is called."""
        return str(self._ask(TERMINATE, {"run": run_id})["terminateRun"]["__typename"])

    def reload(self) -> str:
        """Load the code again, as the button Reload does; return LOADED, or what the answer is called."""
        answer = self._ask(RELOAD, {"location": CODE["repositoryLocationName"]})["reloadRepositoryLocation"]
        return str(answer.get("loadStatus", answer["__typename"]))

    def stop_sensor(self, name: str) -> None:
        """Switch a sensor off, and wait for a tick that is under way: it can still launch a run."""
        quiet_since = time.monotonic()
        while time.monotonic() < quiet_since + QUIET_SECONDS:
            state = self._sensor(name)
            # a tick that begins writes the state that it has read, and so can undo a stop of the same moment
            if state["status"] != "STOPPED":
                answer = self._ask(STOP, {"id": state["id"]})["stopSensor"]
                assert answer["__typename"] == "StopSensorMutationResult", answer
            if state["status"] != "STOPPED" or "STARTED" in [tick["status"] for tick in state["ticks"]]:
                quiet_since = time.monotonic()
            time.sleep(0.1)

    def _sensor(self, name: str) -> dict[str, Any]:
        state: dict[str, Any] = self._ask(SENSOR, {"selector": CODE | {"sensorName": name}})["sensorOrError"][
            "sensorState"
        ]
        return state

    def start_sensor(self, name: str) -> None:
        """Switch a sensor on."""
        answer = self._ask(START, {"selector": CODE | {"sensorName": name}})["startSensor"]
        assert answer["__typename"] == "Sensor", answer

    def stop_schedules(self) -> None:
        """Switch all schedules off: no run begins because of the time of the day."""
        schedules = self._ask(SCHEDULES, {"selector": CODE})["schedulesOrError"]["results"]
        assert schedules
        for schedule in schedules:
            answer = self._ask(STOP_SCHEDULE, {"id": schedule["scheduleState"]["id"]})["stopRunningSchedule"]
            assert answer["__typename"] == "ScheduleStateResult", answer

    def _launch(self, selector: dict[str, Any], tags: dict[str, str]) -> str:
        return _id_of(self._launched(selector, tags, {}))

    def _launched(self, selector: dict[str, Any], tags: dict[str, str], config: Mapping[str, Any]) -> dict[str, Any]:
        parameters = {
            "selector": CODE | selector,
            "runConfigData": json.dumps(config),
            "executionMetadata": {"tags": [{"key": name, "value": value} for name, value in tags.items()]},
        }
        answer: dict[str, Any] = self._ask(LAUNCH, {"parameters": parameters})["launchRun"]
        return answer

    def _ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=HANG_SECONDS) as answer:  # noqa: S310 - our own
                data: dict[str, Any] = json.load(answer)["data"]
        except urllib.error.HTTPError as refused:  # with an answer, where Dagster itself raised
            data = json.load(refused)["data"]
        return data


def _id_of(launched: Mapping[str, Any]) -> str:
    """Return the id of the run that was launched; fail if none was."""
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])

"""Tests of access through deploy/nginx.conf in front of two real webservers: viewers can read, operators can act."""

import base64
import json
import ssl
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from notaflow_pipeline_tests.deploy.installation import Proxy
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

LAUNCH = """
mutation ($selector: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $selector, runConfigData: {}}) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
  }
}
"""

SELECTOR = {
    "selector": {
        "repositoryLocationName": "notaflow_pipeline",
        "repositoryName": "__repository__",
        "jobName": "housekeeping_job",
    }
}

EVENTS = "subscription ($run: ID!) { pipelineRunLogs(runId: $run) { __typename } }"


def ask(proxy: Proxy, user: str, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    with proxy.client(user) as client:
        answer = client.post("/graphql", json={"query": query, "variables": variables}, timeout=HANG_SECONDS)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert "errors" not in found, found
    data: dict[str, Any] = found["data"]
    return data


def launch(proxy: Proxy, user: str) -> dict[str, Any]:
    launched: dict[str, Any] = ask(proxy, user, LAUNCH, SELECTOR)["launchRun"]
    return launched


def subscribe(proxy: Proxy, user: str, run_id: str, **headers: str) -> str:
    """The kind of the first message about a run."""
    word = base64.b64encode(f"{user}:{user}".encode()).decode()
    with connect(
        f"wss://{proxy.address}/graphql",
        ssl=ssl.create_default_context(cafile=proxy.certificate),
        subprotocols=["graphql-ws"],  # type: ignore[list-item]
        additional_headers={"Authorization": f"Basic {word}", **headers},
    ) as socket:
        socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(socket.recv(timeout=HANG_SECONDS))["type"] == "connection_ack"
        question = {"query": EVENTS, "variables": {"run": run_id}}
        socket.send(json.dumps({"type": "start", "id": "1", "payload": question}))
        answer = json.loads(socket.recv(timeout=HANG_SECONDS))
        assert answer["type"] == "data", answer
        return str(answer["payload"]["data"]["pipelineRunLogs"]["__typename"])


def test_access_needs_a_password(proxy: Proxy) -> None:
    with proxy.client() as client:
        for path in ("/", "/server_info", "/locations"):
            assert client.get(path).status_code == 401
        assert client.post("/graphql", json={"query": "{ version }"}).status_code == 401
    with proxy.client("mallory") as client:
        assert client.get("/").status_code == 401


def test_viewer_sees_the_definitions_and_may_change_nothing(proxy: Proxy) -> None:
    found = ask(proxy, "luc", "{ assetNodes { assetKey { path } } canBulkTerminate }")
    assert ["ocr_text"] in [node["assetKey"]["path"] for node in found["assetNodes"]]
    assert found["canBulkTerminate"] is False
    assert launch(proxy, "luc") == {"__typename": "UnauthorizedError"}
    assert ask(proxy, "luc", "mutation { wipeAssets(assetPartitionRanges: []) { __typename } }") == {
        "wipeAssets": {"__typename": "UnauthorizedError"}
    }


def test_operator_may_launch_and_both_see_it_happen(proxy: Proxy) -> None:
    launched = launch(proxy, "marie")
    assert launched["__typename"] == "LaunchRunSuccess"
    for user in ("marie", "luc"):
        assert subscribe(proxy, user, launched["run"]["runId"]) == "PipelineRunLogsSubscriptionSuccess"


def test_page_of_another_site_cannot_use_the_browsers_password(proxy: Proxy) -> None:
    foreign = {"Origin": "https://elsewhere.example"}
    with proxy.client("marie") as client:
        question = {"query": "{ version }"}
        assert client.post("/graphql", json=question, headers=foreign).status_code == 403
        assert client.post("/graphql", json=question, headers={"Origin": "null"}).status_code == 403
        assert client.get("/graphql", params=question).status_code == 403, "an image's address can be an order"
        assert client.get("/", headers=foreign).status_code == 403
        own = {"Origin": f"https://{proxy.address}"}
        assert client.post("/graphql", json=question, headers=own).status_code == 200
        assert client.post("/report_asset_materialization/ocr_text", json={}).status_code == 403
    with pytest.raises(InvalidStatus) as refused:
        subscribe(proxy, "marie", "any", Origin="https://elsewhere.example")
    assert refused.value.response.status_code == 403


def test_answers_may_not_be_framed_and_do_not_name_the_server(proxy: Proxy) -> None:
    with proxy.client("marie") as client:
        answer = client.get("/server_info")
    assert answer.status_code == 200
    assert answer.headers["server"] == "nginx"
    assert answer.headers["x-frame-options"] == "DENY"

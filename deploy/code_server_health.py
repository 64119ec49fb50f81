"""Whether the code server answers, as Dagster's own health check asks, without importing Dagster for the question.

usage: python deploy/code_server_health.py PORT      exit code 0 if it serves
"""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

PATIENCE_SECONDS = 5.0


def serves(port: int) -> bool:
    """Ask the code server on this machine, under the name that Dagster gives its service."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        question = health_pb2.HealthCheckRequest(service="DagsterApi")
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(question, timeout=PATIENCE_SECONDS)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(not serves(int(sys.argv[1])))

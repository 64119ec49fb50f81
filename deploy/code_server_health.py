"""Whether the code server answers, as Dagster's own health check does, without importing Dagster.

usage: python deploy/code_server_health.py PORT      exit code 0 if it serves
"""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

TIMEOUT_SECONDS = 5.0


def serves(port: int) -> bool:
    """Ask the code server on this machine, under the name that Dagster gives its service."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        request = health_pb2.HealthCheckRequest(service="DagsterApi")
        try:
            response = health_pb2_grpc.HealthStub(channel).Check(request, timeout=TIMEOUT_SECONDS)
        except grpc.RpcError:
            return False
    return bool(response.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(not serves(int(sys.argv[1])))

"""An object store that several hosts can reach: a moto server with its own address."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import DEVNULL, Popen
from unittest.mock import patch

from notaflow_pipeline.documents.s3 import S3Storage
from notaflow_pipeline_tests.documents.moto_server import wait_for
from notaflow_pipeline_tests.testing.ports import free_port

KEYS = {"AWS_ACCESS_KEY_ID": "key-id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "ca-central-1"}


@contextmanager
def object_store(address: str) -> Iterator[str]:
    """Yield the store's URL, with an empty bucket for the source `index`; processes started meanwhile get its keys."""
    with patch.dict(os.environ, {**KEYS, "NO_PROXY": address, "no_proxy": address}):
        port = free_port()
        endpoint = f"http://{address}:{port}"
        command = [sys.executable, "-m", "moto.server", "--host", address, "--port", str(port)]
        with Popen(command, stdout=DEVNULL, stderr=DEVNULL) as server:
            try:
                wait_for(f"{endpoint}/moto-api/", server)
                S3Storage(endpoint_url=endpoint)._create_bucket("index")
                yield endpoint
            finally:
                server.kill()

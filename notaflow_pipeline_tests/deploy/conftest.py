"""Dagster as deploy/ runs it, without containers: code server, daemon, two webservers, and nginx in front."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from notaflow_pipeline_tests.deploy import DEPLOY
from notaflow_pipeline_tests.deploy.installation import Installation, Proxy, environment_of, program, reachable, started
from notaflow_pipeline_tests.testing.databases import new_database
from notaflow_pipeline_tests.testing.ports import answers, free_port
from notaflow_pipeline_tests.testing.waiting import wait_until


@pytest.fixture(scope="package")
def installation(server_url: str, template_database: str) -> Iterator[Installation]:
    """Code server, daemon and both webservers over a database of their own, as compose.yaml starts them."""
    with ExitStack() as stack:
        url = stack.enter_context(new_database(server_url, template_database))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="notaflow-deploy-")))
        ports = {name: free_port() for name in ("code-server", "webserver", "viewer")}
        environment = environment_of(folder, url)
        workspace = folder / "workspace.yaml"
        workspace.write_text((DEPLOY / "workspace.yaml").read_text().replace("4000", str(ports["code-server"])))
        code_server = stack.enter_context(
            started(
                folder,
                "code-server",
                [
                    sys.executable,
                    str(DEPLOY / "code_server.py"),
                    "--host",
                    "127.0.0.1",
                    "--port",
                    str(ports["code-server"]),
                ],
                environment,
            )
        )
        health = [sys.executable, str(DEPLOY / "code_server_health.py"), str(ports["code-server"])]
        wait_until(lambda: subprocess.run(health, env=environment, capture_output=True, check=False).returncode == 0)
        stack.enter_context(
            started(folder, "daemon", [program("dagster-daemon"), "run", "-w", str(workspace)], environment)
        )
        for name, options in (("webserver", []), ("viewer", ["--read-only"])):
            command = [program("dagster-webserver"), *options, "-h", "127.0.0.1", "-p", str(ports[name])]
            stack.enter_context(started(folder, name, [*command, "-w", str(workspace)], environment))
        addresses = {name: f"127.0.0.1:{ports[name]}" for name in ("webserver", "viewer")}
        for address in addresses.values():
            wait_until(partial(answers, f"http://{address}/server_info"))
        yield Installation(
            folder, url, environment, code_server, ports["code-server"], addresses["webserver"], addresses["viewer"]
        )


@pytest.fixture(scope="package")
def proxy(installation: Installation) -> Iterator[Proxy]:
    """Nginx with deploy/nginx.conf in front of both webservers; marie is an operator, and luc looks on."""
    if shutil.which("nginx") is None or shutil.which("openssl") is None:
        pytest.skip("nginx and openssl are not installed (Debian: apt-get install nginx-light openssl)")
    place = installation.folder / "proxy"
    place.mkdir()
    for user in ("marie", "luc"):
        encrypted = subprocess.run(["openssl", "passwd", "-6", user], capture_output=True, text=True, check=True)
        with (place / "users").open("a") as users:
            users.write(f"{user}:{encrypted.stdout.strip()}\n")
    (place / "operators").write_text("marie webserver;\n")
    certify = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    certify += ["-addext", "subjectAltName=IP:127.0.0.1"]
    certify += ["-keyout", str(place / "tls.key"), "-out", str(place / "tls.crt")]
    subprocess.run(certify, capture_output=True, check=True)
    port = free_port()
    configuration = (DEPLOY / "nginx.conf").read_text()
    for shipped, here in (
        ("/etc/nginx/notaflow", str(place)),
        ("webserver webserver:3000", f"webserver {installation.webserver}"),
        ("default viewer:3000", f"default {installation.viewer}"),
        ("listen 8443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/tmp/nginx", f"{place}/nginx"),  # noqa: S108 - where it lies in the container
    ):
        assert shipped in configuration
        configuration = configuration.replace(shipped, here)
    (place / "nginx.conf").write_text(configuration)
    place.chmod(0o755)  # as root, nginx works as another user
    installation.folder.chmod(0o755)
    nginx = ["nginx", "-c", str(place / "nginx.conf"), "-g", "daemon off;"]
    with started(installation.folder, "nginx", nginx, installation.environment):
        one = Proxy(f"127.0.0.1:{port}", place / "tls.crt")
        wait_until(lambda: reachable(one))
        yield one

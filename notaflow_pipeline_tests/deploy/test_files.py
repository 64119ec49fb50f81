"""Tests of the files of deploy/ with Dagster's config types, the Compose specification and Kubernetes' models."""

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml  # type: ignore[import-untyped]
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef

from notaflow_pipeline import __version__
from notaflow_pipeline_tests.deploy import DEPLOY, PROJECT

VALUES_TEXT = (DEPLOY / "helm" / "values.yaml").read_text()
VALUES: dict[str, Any] = yaml.safe_load(VALUES_TEXT)
COMPOSE_TEXT = (DEPLOY / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
OURS = {name: one for name, one in COMPOSE["services"].items() if "NOTAFLOW_IMAGE" in one["image"]}

RELEASE_SECONDS = 10
"""Within which a worker that is told to stop gives its claims back."""


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


class TestDagster:
    def test_instance_config_has_no_key_that_dagster_does_not_know(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NOTAFLOW_COMPUTE_LOGS", "/var/lib/notaflow/compute_logs")
        dagster_instance_config(str(DEPLOY))
        reference = InstanceRef.from_dir(str(DEPLOY))
        for data in (reference.compute_logs_data, reference.local_artifact_storage_data):
            configurable = getattr(import_module(data.module_name), data.class_name)
            checked = process_config(configurable.config_type(), data.config_dict)
            assert checked.success, checked.errors

    def test_both_instances_keep_the_same_history_for_the_same_time(self) -> None:
        here, there = (yaml.safe_load((one / "dagster.yaml").read_text()) for one in (PROJECT, DEPLOY))
        for part in ("storage", "retention", "sensors", "schedules", "telemetry"):
            assert here[part] == there[part], part

    def test_location_has_one_name_everywhere(self) -> None:
        names = {
            next(iter(location.values()))["location_name"]
            for folder in (PROJECT, DEPLOY)
            for location in yaml.safe_load((folder / "workspace.yaml").read_text())["load_from"]
        }
        assert names == {"notaflow_pipeline"}


class TestCompose:
    def test_file_is_what_the_specification_describes(self) -> None:
        specification = pytest.importorskip("compose_spec", reason="compose-spec is not installed (make setup-dev)")
        # what the library leaves to its caller: variables filled in, here with the example's, and merged keys written out
        given = dict(re.findall(r"^([A-Z_]+)=(.*)$", (DEPLOY / "example.env").read_text(), re.MULTILINE))
        filled_in = re.sub(r"\$\{([A-Z_]+)[^}]*\}", lambda found: given[found[1]], COMPOSE_TEXT)
        filled_in = re.sub(
            r"on-failure:\d+", "on-failure", filled_in
        )  # "[:max-retries]" is unknown to the library alone
        project = specification.PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(filled_in)))
        assert set(project.service_names()) == set(COMPOSE["services"])
        with pytest.raises(Exception, match="imagge"):
            specification.PyCompose.from_yaml("services: {one: {imagge: nginx}}")

    def test_every_service_is_the_same_image_without_privileges(self) -> None:
        assert {"migrate", "code-server", "daemon", "webserver", "viewer", "worker"} == set(OURS)
        for name, service in OURS.items():
            assert service["image"] == OURS["daemon"]["image"], name
            assert service["read_only"] is True, name
            assert service["cap_drop"] == ["ALL"], name
            assert not service.get("privileged"), name
            assert not any("docker.sock" in str(volume) for volume in service["volumes"]), name

    def test_nothing_but_the_proxy_can_be_reached_from_outside(self) -> None:
        open_ports = {name: one["ports"] for name, one in COMPOSE["services"].items() if "ports" in one}
        assert open_ports.pop("proxy") == ["${NOTAFLOW_HTTPS_PORT:-443}:8443"]
        assert all(port.startswith("127.0.0.1:") for ports in open_ports.values() for port in ports)

    def test_everything_that_is_written_is_on_a_disk(self) -> None:
        image = (DEPLOY / "Dockerfile").read_text()
        places = dict(re.findall(r"(NOTAFLOW_HOME|NOTAFLOW_COMPUTE_LOGS|DAGSTER_HOME)=(\S+)", image))
        for name, service in OURS.items():
            disks = [volume.split(":")[-1] for volume in service["volumes"]]
            for place in (places["NOTAFLOW_HOME"], places["NOTAFLOW_COMPUTE_LOGS"], service["environment"]["TMPDIR"]):
                assert any(Path(place).is_relative_to(disk) for disk in disks), (name, place)
                # a new volume belongs to whom the folder in the image belongs to
                assert f" {place}" in next(line for line in image.splitlines() if "install -d -o notaflow" in line)

    def test_owners_login_is_seen_by_migrate_alone(self) -> None:
        for name, service in OURS.items():
            given = service["environment"]["NOTAFLOW_OWNER_DATABASE_URL"]
            assert bool(given) is (name == "migrate"), name
            assert service["environment"]["POSTGRES_PASSWORD"] == "", name

    def test_messages_of_migrate_are_not_repeated(self) -> None:
        assert OURS["migrate"]["restart"].startswith("on-failure:")

    def test_services_that_read_documents_have_time_to_stop(self) -> None:
        for name in ("code-server", "worker"):
            assert seconds(OURS[name]["stop_grace_period"]) > 2 * RELEASE_SECONDS

    def test_nothing_reads_documents_before_the_schema_is_there(self) -> None:
        for name in ("code-server", "worker"):
            assert OURS[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}

    def test_every_variable_of_the_example_is_used(self) -> None:
        named = set(re.findall(r"^([A-Z_]+)=", (DEPLOY / "example.env").read_text(), re.MULTILINE))
        demanded = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_TEXT))
        assert demanded <= named
        for name, default in re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", COMPOSE_TEXT):
            assert f"{name}={default}\n" in (DEPLOY / "example.env").read_text()
        settings = (PROJECT / "docs" / "settings.md").read_text()
        assert [name for name in named if f"`{name}`" not in settings] == []

    def test_example_names_this_version(self) -> None:
        assert f"NOTAFLOW_IMAGE=notaflow:{__version__}\n" in (DEPLOY / "example.env").read_text()


class TestImage:
    def test_it_is_installed_by_the_script_that_installs_a_checkout(self) -> None:
        text = (DEPLOY / "Dockerfile").read_text()
        installs = [line for line in text.splitlines() if re.search(r"apt-get install|pip install|curl|wget", line)]
        assert installs == []
        assert text.count("scripts/setup.sh") >= 3
        assert "USER 10001" in text

    def test_every_file_that_it_copies_is_there_and_not_ignored(self) -> None:
        let_in = [line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
        copied = re.findall(r"^COPY (.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
        for name in " ".join(copied).replace("${LOCK}", "requirements.lock").split():
            assert (PROJECT / name).exists(), name
            assert any(Path(name).match(one) or Path(one) in Path(name).parents for one in let_in), name

    def test_its_user_may_read_what_a_strict_umask_closed(self) -> None:
        text = (DEPLOY / "Dockerfile").read_text()
        [opened] = re.findall(r"^RUN chmod -R a\+rX (.+) \\$", text, re.MULTILINE)
        folders = {destination.rstrip("/") for destination in re.findall(r"^COPY .+ (\w+/?)$", text, re.MULTILINE)}
        assert set(opened.split()) == folders

    def test_build_context_has_no_secret_and_no_large_folder(self) -> None:
        lines = (PROJECT / ".dockerignore").read_text().splitlines()
        assert lines[0] == "*"
        assert not {"!.env", "!.git", "!.notaflow"} & set(lines)
        let_in = [line[1:] for line in lines if line.startswith("!")]
        for secret in (
            "deploy/.env",
            "deploy/staging.env",
            "deploy/proxy/tls.key",
            "deploy/proxy/users",
            ".notaflow/postgres",
        ):
            assert not any(Path(secret) == Path(one) or Path(one) in Path(secret).parents for one in let_in), secret


class TestKubernetes:
    """The chart's own schema is in no package; the launcher's config, which it passes on as it stands, is checked whole."""

    @pytest.fixture
    def launcher(self) -> dict[str, Any]:
        shipped = VALUES["runLauncher"]["config"]["customRunLauncher"]
        assert (shipped["module"], shipped["class"]) == ("dagster_k8s", "K8sRunLauncher")
        config: dict[str, Any] = shipped["config"]
        return config

    def test_run_launcher_knows_every_setting(self, launcher: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        dagster_k8s = pytest.importorskip("dagster_k8s", reason="dagster-k8s is not installed (make setup-dev)")
        monkeypatch.setenv("DAGSTER_K8S_PIPELINE_RUN_NAMESPACE", "default")
        checked = process_config(dagster_k8s.K8sRunLauncher.config_type(), launcher)
        assert checked.success, checked.errors
        assert not process_config(dagster_k8s.K8sRunLauncher.config_type(), {**launcher, "job_imagee": "x"}).success

    def test_run_launcher_names_objects_of_the_chart_and_the_operator(self, launcher: dict[str, Any]) -> None:
        assert launcher["dagster_home"] == VALUES["global"]["dagsterHome"]
        assert launcher["postgres_password_secret"] == VALUES["global"]["postgresqlSecretName"]
        made = re.findall(r"kubectl create (?:secret generic|serviceaccount) (\S+)", VALUES_TEXT)
        assert {*launcher["env_secrets"], launcher["service_account_name"]} <= set(made)
        assert "helm upgrade --install dagster " in VALUES_TEXT
        assert launcher["instance_config_map"].startswith("dagster-")

    def test_pods_are_what_kubernetes_knows(self, launcher: dict[str, Any]) -> None:
        job = pytest.importorskip("dagster_k8s.job", reason="dagster-k8s is not installed (make setup-dev)")
        job.UserDefinedDagsterK8sConfig.from_dict(launcher["run_k8s_config"])
        with pytest.raises(Exception, match="limitss"):
            job.UserDefinedDagsterK8sConfig.from_dict({"container_config": {"resources": {"limitss": {}}}})

    @pytest.mark.parametrize(
        "tag",
        [
            {"container_config": {"image": "registry.example/miner"}},
            {"container_config": {"command": ["sh", "-c", "env"]}},
            {"container_config": {"env": [{"name": "LD_PRELOAD", "value": "/x.so"}]}},
            {"container_config": {"securityContext": {"privileged": True}}},
            {"pod_spec_config": {"volumes": [{"name": "node", "hostPath": {"path": "/"}}]}},
            {"pod_spec_config": {"serviceAccountName": "dagster"}},
            {"pod_template_spec_metadata": {"namespace": "kube-system"}},
        ],
        ids=lambda tag: next(iter(next(iter(tag.values())))),
    )
    def test_tags_of_a_run_do_not_configure_its_pod(
        self, launcher: dict[str, Any], tag: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        dagster_k8s = pytest.importorskip("dagster_k8s", reason="dagster-k8s is not installed (make setup-dev)")
        monkeypatch.setattr("dagster_k8s.launcher.load_kubernetes_config", lambda **_: None)
        one = dagster_k8s.K8sRunLauncher(**{**launcher, "job_namespace": "default"})
        plain = one.get_container_context_for_run(dg.DagsterRun(job_name="ocr_job"))
        assert plain.run_k8s_config.container_config["security_context"]["run_as_user"] == 10001
        hostile = dg.DagsterRun(job_name="ocr_job", tags={"dagster-k8s/config": json.dumps(tag)})
        with pytest.raises(Exception, match="violated the allowed list"):
            one.get_container_context_for_run(hostile)

    def test_pods_hold_no_key_to_the_cluster(self, launcher: dict[str, Any]) -> None:
        assert launcher["service_account_name"] != "dagster"
        assert launcher["run_k8s_config"]["pod_spec_config"]["automount_service_account_token"] is False

    def test_nothing_listens_where_its_user_may_not(self) -> None:
        assert VALUES["dagsterWebserver"]["service"]["port"] >= 1024

    def test_schema_of_dagsters_tables_is_made_beforehand(self) -> None:
        assert "notaflow migrate && notaflow migrate --roles" in VALUES_TEXT

    def test_pod_has_time_to_release_its_documents(self, launcher: dict[str, Any]) -> None:
        pod = launcher["run_k8s_config"]["pod_spec_config"]
        assert pod["termination_grace_period_seconds"] > 2 * RELEASE_SECONDS

    def test_pod_has_limits(self, launcher: dict[str, Any]) -> None:
        resources = launcher["run_k8s_config"]["container_config"]["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"])
        assert "memory" in resources["limits"]

    def test_dagsters_tables_are_in_the_same_schema_as_on_one_machine(self) -> None:
        [storage] = yaml.safe_load((PROJECT / "dagster.yaml").read_text())["storage"].values()
        assert VALUES["postgresql"]["postgresqlParams"]["options"] == f"-c search_path={storage['config']['schema']}"
        assert VALUES["postgresql"]["postgresqlScheme"] == storage["config"]["scheme"]

    def test_every_image_is_this_version(self) -> None:
        [deployment] = VALUES["dagster-user-deployments"]["deployments"]
        for image in (deployment["image"], VALUES["dagsterWebserver"]["image"], VALUES["dagsterDaemon"]["image"]):
            assert image["tag"] == f"{__version__}-kubernetes"

    def test_code_location_has_the_same_name_everywhere(self) -> None:
        [deployment] = VALUES["dagster-user-deployments"]["deployments"]
        # the chart names the location after the deployment unless its workspace is written out, and a Kubernetes name
        # cannot hold an underscore
        [server] = VALUES["dagsterWebserver"]["workspace"]["servers"]
        assert server["name"] == "notaflow_pipeline"
        assert server["host"] == deployment["name"]
        assert deployment["codeServerArgs"] == ["-m", "notaflow_pipeline.definitions"]

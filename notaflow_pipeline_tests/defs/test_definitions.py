"""Tests of the definitions: the asset graph, what is on by default, and the name of the code location."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import dagster as dg
import pytest
import yaml  # type: ignore[import-untyped]
from dagster._core.remote_representation.external_data import RepositorySnap

from notaflow_pipeline.defs.resources import configured_resources
from notaflow_pipeline.job_queue.schema.columns import TABLE_COLUMNS
from notaflow_pipeline.settings import load_settings
from notaflow_pipeline_tests.defs import DAGSTERS_OWN_WARNING, PROJECT, defs
from notaflow_pipeline_tests.testing.waiting import HANG_SECONDS

pytestmark = pytest.mark.filterwarnings(f"ignore:{DAGSTERS_OWN_WARNING}")


def test_extraction_queue_is_external_and_upstream_of_ocr_text() -> None:
    graph = defs.resolve_asset_graph()
    queue, text = dg.AssetKey("extraction_queue"), dg.AssetKey("ocr_text")
    assert graph.get(text).parent_keys == {queue}
    assert graph.get(dg.AssetKey("requeued_documents")).parent_keys == {queue}
    assert graph.get(queue).is_external
    assert graph.get(text).is_materializable


def test_every_asset_has_a_description() -> None:
    for spec in defs.resolve_all_asset_specs():
        assert spec.description, spec.key


def test_every_asset_has_an_owner_kinds_tags_and_the_file_that_defines_it() -> None:
    for spec in defs.resolve_all_asset_specs():
        assert spec.owners == ["team:notaflow"], spec.key
        assert spec.kinds, spec.key
        assert spec.tags["domain"] == "land-registry", spec.key
        assert spec.tags["personal-data"] in {"yes", "no"}, spec.key
        (reference,) = spec.metadata["dagster/code_references"].code_references
        assert spec.key.to_user_string() in Path(reference.file_path).read_text(), spec.key


def test_every_asset_that_is_a_table_describes_its_columns() -> None:
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    assert {name for name, spec in specs.items() if "dagster/column_schema" not in spec.metadata} == {"ocr_dashboard"}
    for name in ("extraction_queue", "ocr_attempt", "requeued_documents"):
        table = specs[name].metadata["dagster/table_name"]
        columns = specs[name].metadata["dagster/column_schema"].columns
        assert {one.name: one.type for one in columns} == TABLE_COLUMNS[table], "a new column needs a description"
    for name, spec in specs.items():
        for column in spec.metadata.get("dagster/column_schema", dg.TableSchema([])).columns:
            assert column.description, f"{name}.{column.name}"


def test_definitions_load_without_a_warning() -> None:
    program = "import notaflow_pipeline.definitions as d; d.defs().get_repository_def()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_ocr_text_is_made_by_claiming_reading_and_recording() -> None:
    job = defs.resolve_job_def("ocr_job")
    ops = {node.name for node in job.all_node_defs if isinstance(node, dg.OpDefinition)}
    assert ops == {"claim_documents", "ocr_documents", "summarise_batch"}


def test_sensor_is_on_by_default_and_launches_the_job() -> None:
    sensor = defs.resolve_sensor_def("ocr_ready_sensor")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert [target.job_name for target in sensor.targets] == ["ocr_job"]


def test_runs_carry_the_tag_that_the_sensor_counts() -> None:
    assert defs.resolve_job_def("ocr_job").tags["notaflow/work"] == "ocr"


def test_launchpad_shows_the_size_of_a_batch() -> None:
    preset = defs.resolve_job_def("ocr_job").run_config
    assert preset == {"ops": {"ocr_text": {"ops": {"claim_documents": {"config": {"limit": 200}}}}}}


def test_workspace_and_project_load_the_same_module_under_the_same_name() -> None:
    workspace = yaml.safe_load((PROJECT / "workspace.yaml").read_text())
    (location,) = [one["python_module"] for one in workspace["load_from"]]
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert location["location_name"] == project["code_location_name"]
    assert location["module_name"] == f"{project['root_module']}.definitions"


@pytest.mark.parametrize(
    "command",
    ["dagster definitions validate", "dg check defs", "dg list defs"],
)
def test_definitions_load_in_a_clone_without_any_database(tmp_path: Path, command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NOTAFLOW_", "DAGSTER_"))}
    environment |= {"NOTAFLOW_HOME": str(tmp_path / "home")}
    program, *arguments = command.split()
    done = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *arguments],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_dagster_dev_without_a_database_says_what_to_do(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NOTAFLOW_", "DAGSTER_"))}
    environment |= {"NOTAFLOW_HOME": str(tmp_path / "home")}
    program = Path(sys.executable).with_name("dagster")
    done = subprocess.run(
        [str(program), "dev"], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS
    )
    assert done.returncode != 0
    assert "`make dev` starts it together with Dagster" in done.stderr


def test_resources_show_their_settings_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTAFLOW_DATABASE_URL", "postgresql://notaflow:hunter2@db.example:5433/queue")
    monkeypatch.setenv("NOTAFLOW_DOCUMENTS_URL", "https://user:hunter2@documents.example/store?token=hunter2")
    monkeypatch.setenv("OCR_LANGUAGES", "fra")
    resources = configured_resources(load_settings())
    shown = {name: one.get_resource_definition().config_schema.default_value for name, one in resources.items()}
    assert shown["queue"]["NOTAFLOW_DATABASE_URL"] == "database queue at db.example:5433"
    assert shown["storage"]["NOTAFLOW_DOCUMENTS_URL"] == "https://***@documents.example/store"
    assert shown["engine"]["OCR_LANGUAGES"] == "fra"
    snapshot = dg.serialize_value(RepositorySnap.from_def(dg.Definitions(resources=resources).get_repository_def()))
    assert "db.example" in snapshot
    assert "hunter2" not in snapshot


def test_run_config_cannot_change_a_setting_that_a_resource_shows() -> None:
    job = defs.resolve_job_def("ocr_job")
    assert dg.validate_run_config(job, {"resources": {"engine": {"config": {"OCR_DPI": "300"}}}})
    with pytest.raises(dg.DagsterInvalidConfigError, match="OCR_DPI"):
        dg.validate_run_config(job, {"resources": {"engine": {"config": {"OCR_DPI": "600"}}}})

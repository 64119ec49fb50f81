"""Dagster's instance storage: dagster-postgres in a schema of its own in the queue's database, so that one URL is enough.

`dagster.yaml` names this class, which only builds the URL.
"""

import atexit
import shutil
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import dagster as dg
import psycopg
from dagster._core.storage.base_storage import DagsterStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import URL

from notaflow_pipeline.job_queue.database.connections import (
    DatabaseUnavailable,
    connection_parameters,
    database_unavailable,
)
from notaflow_pipeline.local.embedded_postgres import running_database_url
from notaflow_pipeline.settings import load_settings


class NotaflowInstanceStorage(DagsterPostgresStorage):
    """dagster-postgres on the queue's database, in the schema that `dagster.yaml` names."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return what `dagster.yaml` may say: the SQLAlchemy scheme and the schema."""
        return {"scheme": dg.Field(str), "schema": dg.Field(str)}

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> DagsterStorage:
        """Open the storage; the schema is created on first use.

        Where no database is configured and the embedded one does not run, commands that only load definitions
        (`dg check defs`, `dg list defs`, `dagster definitions validate`) get an empty temporary storage.

        Raises:
            DatabaseUnavailable: no database runs, under `dagster dev`; or the configured database cannot be reached.
        """
        try:
            url = running_database_url(load_settings())
        except DatabaseUnavailable:
            # the UI and the daemon would each keep a history of their own
            if "dev" in sys.argv[1:2]:
                raise
            return _temporary_storage()
        _create_schema(url, config_value["schema"])
        return cls(
            postgres_url=instance_url(url, scheme=config_value["scheme"], schema=config_value["schema"]),
            should_autocreate_tables=True,
            inst_data=inst_data,
        )


def _temporary_storage() -> DagsterSqliteStorage:
    """Return an empty storage in a folder that is removed when this process ends."""
    folder = tempfile.mkdtemp(prefix="notaflow-definitions-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return DagsterSqliteStorage(folder)


def instance_url(url: str, *, scheme: str, schema: str) -> str:
    """Return `url` for SQLAlchemy, with the schema as the only one that is searched."""
    given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    options = f"{given.pop('options', '')} -c search_path={schema}".strip()
    host, port = given.pop("host", None), given.pop("port", None)
    query = {"options": options}
    if host is not None and (host.startswith("/") or "," in host):
        query["host"], host = host, None  # a socket, or several servers
    if port is not None and "," in port:
        query["port"], port = port, None
    location = URL.create(
        scheme,
        username=given.pop("user", None),
        password=given.pop("password", None),
        host=host,
        port=int(port) if port else None,
        database=given.pop("dbname", None),
        query={**given, **query},
    )
    return location.render_as_string(hide_password=False)


def _create_schema(url: str, schema: str) -> None:
    try:
        with psycopg.connect(**connection_parameters(url), autocommit=True) as connection:  # type: ignore[arg-type]
            known = connection.execute("SELECT FROM pg_namespace WHERE nspname = %(schema)s", {"schema": schema})
            if known.fetchone() is None:
                connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    except psycopg.OperationalError as refused:
        raise database_unavailable(url, refused) from refused

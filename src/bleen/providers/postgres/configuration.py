"""The configuration of the embedded server: small, quiet, and durable."""

from pathlib import Path

HBA = """\
local all all scram-sha-256
host all all 127.0.0.1/32 scram-sha-256
"""

SMALL = {
    "max_connections": "20",
    "superuser_reserved_connections": "3",
    "shared_buffers": "32MB",
    "huge_pages": "off",
    "work_mem": "4MB",
    "maintenance_work_mem": "32MB",
    "max_wal_size": "128MB",
    "min_wal_size": "16MB",
    "wal_buffers": "1MB",
    # No processes that a ledger does not need: no replication, no parallel queries, no workers for reading files.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_worker_processes": "2",
    "max_parallel_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "io_method": "sync",
    "jit": "off",
    "autovacuum_max_workers": "1",
    "autovacuum_worker_slots": "1",
    "autovacuum_naptime": "10min",
}

DURABLE = {
    # The defaults, written down because the guarantees rest on them.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "restart_after_crash": "on",
}

PLAIN = {
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "checkpoint_timeout": "15min",
    "password_encryption": "scram-sha-256",
    "unix_socket_permissions": "0700",
}


def postgresql_conf(socket_folder: Path, port: int | None) -> str:
    """Return the text of ``postgresql.conf``; ``port`` None means no TCP."""
    listen = {
        "listen_addresses": "127.0.0.1" if port else "",
        "port": str(port or 5432),
        "unix_socket_directories": str(socket_folder),
    }
    settings = {**listen, **SMALL, **DURABLE, **PLAIN}
    lines = (f"{name} = '{value}'".replace("\\", "\\\\") for name, value in settings.items())
    return "# Written by Bleen at each start.\n" + "\n".join(lines) + "\n"

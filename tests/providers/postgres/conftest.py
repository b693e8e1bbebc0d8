from tests.fixtures.postgres import database_url, own_server, postgres_server, server_folder

__all__ = ["database_url", "own_server", "postgres_server", "server_folder"]

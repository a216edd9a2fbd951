"""What stands between Cornerman and Prefect: its server, its workers, what it is told, Dask."""

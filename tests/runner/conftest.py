"""Runs that a test starts end with it, as in the gateway's tests."""

from tests.gateway.conftest import no_run_outlives_its_test  # noqa: F401

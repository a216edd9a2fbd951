"""The id that a flow run gives to its run, when nobody named one."""

from __future__ import annotations

from prefect.runtime import flow_run


def own_id() -> str:
    """Twelve hex digits of this flow run's id, the same whenever it is started again.

    The last ones: Prefect's ids begin with the millisecond, and its scheduler creates the runs of
    many slots in one.
    """
    return str(flow_run.id).replace("-", "")[-12:]

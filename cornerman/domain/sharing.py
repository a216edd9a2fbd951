"""Sharing a fixed number of slots among those who want some."""

from __future__ import annotations

from collections.abc import Mapping


def fair_shares(total: int, demands: Mapping[str, int]) -> dict[str, int]:
    """Divide slots so that nobody gets more than they want while another goes short (max-min).

    Args:
        total: Slots there are.
        demands: Wanted slots by name. Names decide who gets what cannot be divided.

    Returns:
        Slots by name; their sum never passes `total`.
    """
    shares = dict.fromkeys(sorted(demands), 0)
    left = total
    while left > 0:
        short = [name for name in shares if shares[name] < demands[name]]
        if not short:
            break
        for name in short[:left]:
            shares[name] += 1
        left -= min(left, len(short))
    return shares

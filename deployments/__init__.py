"""How the flows are deployed: schedules, pools and limits."""

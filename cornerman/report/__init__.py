"""One run or batch as a single HTML file that opens without a network."""

from cornerman.report.model import Report
from cornerman.report.page import render_report

__all__ = ["Report", "render_report"]

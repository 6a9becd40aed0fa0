"""Pages that a person looks at: one HTML file each, no network, no scripts."""

from edge_rgbt.report.pages import Still, still, write_demo_report, write_replay_report

__all__ = ["Still", "still", "write_demo_report", "write_replay_report"]

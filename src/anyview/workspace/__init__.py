"""The folder that a run works in."""

from anyview.workspace.workspace import Task, Workspace, atomic_write, digest_file, fingerprint

__all__ = ["Task", "Workspace", "atomic_write", "digest_file", "fingerprint"]

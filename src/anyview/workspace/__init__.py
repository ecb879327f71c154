"""The folder that a run works in."""

from anyview.formats.files import atomic_write, digest_file
from anyview.workspace.workspace import Task, Workspace, fingerprint

__all__ = ["Task", "Workspace", "atomic_write", "digest_file", "fingerprint"]

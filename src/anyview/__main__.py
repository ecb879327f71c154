"""`python -m anyview` is the same as `anyview`."""

from anyview.cli.main import entry

entry()

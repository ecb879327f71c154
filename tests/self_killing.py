"""A command line that ends by SIGKILL right before or right after a certain file takes its place.

usage: python -c DRIVER before|after PATTERN COUNT WORD..., where the COUNT-th file that matches PATTERN is meant; no
pattern, no kill.
"""

from __future__ import annotations

DRIVER = """
import fnmatch, itertools, os, pathlib, signal, sys
moment, pattern, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
plain, seen = pathlib.Path.replace, itertools.count(1)
def replace(self, target):
    # Two threads may write at once: each takes its own number, so that neither can pass the other's by.
    now = bool(pattern) and fnmatch.fnmatch(str(target), pattern) and next(seen) == count
    if now and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    plain(self, target)
    if now and moment == "after":
        os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.replace = replace
from anyview.cli.main import main
sys.exit(main(sys.argv[4:]))
"""

"""anyview: from the views you have to any view you want."""

__version__ = "0.1.0"

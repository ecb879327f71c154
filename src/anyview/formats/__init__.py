"""Bytes to plain arrays and back; nothing here knows a camera or a scene."""

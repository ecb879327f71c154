"""Where and how work runs: threads over items, memory, cores."""

from anyview.compute.executor import parallel_map
from anyview.compute.memory import available_memory_bytes, cpu_count, peak_memory_bytes

__all__ = ["available_memory_bytes", "cpu_count", "parallel_map", "peak_memory_bytes"]

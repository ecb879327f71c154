"""The networks of super-resolution, one file each; they know no data and no files."""

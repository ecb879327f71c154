"""Super-resolution: a photograph or a render in, the same picture two, three, four or eight times as large out."""

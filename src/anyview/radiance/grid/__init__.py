"""Parts of the hash-grid field: what it is made of, each with its torch form."""

"""Parts of compiled kernels that several engines use."""

"""The device "cuda": kernels as CUDA C."""

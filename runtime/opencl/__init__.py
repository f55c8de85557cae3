"""The device "opencl": kernels as OpenCL C."""

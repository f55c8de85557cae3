"""Kernels as C for devices: one printer, and a table of words for each dialect of C."""

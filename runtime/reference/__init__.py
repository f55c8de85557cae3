"""The oracle: evaluate node by node with NumPy."""

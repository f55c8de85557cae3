"""Machine code and the machines that run it."""

if __name__ != "graphc.runtime":
    raise ImportError("import graphc.runtime, not runtime")

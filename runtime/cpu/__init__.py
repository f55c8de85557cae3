"""The CPU: LLVM text and native calls."""

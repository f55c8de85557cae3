"""The small languages that programs are written in."""

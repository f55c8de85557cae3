"""What devices with memory of their own have in common: passes, memory, and the steps of a call."""

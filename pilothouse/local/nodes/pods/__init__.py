"""What a simulated pod does: pure functions and state machines, no I/O, no own clock."""

"""What a pipeline file means: its forms, its trigger graph, and what is wrong with it."""

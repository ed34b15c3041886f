"""What workflows may do to the world: one class per client, thin."""

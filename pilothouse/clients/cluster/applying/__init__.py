"""Writing a bundle into a cluster, and deleting what left it."""

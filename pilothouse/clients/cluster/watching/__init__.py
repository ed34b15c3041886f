"""Looking at live objects until they work, and why they do not."""

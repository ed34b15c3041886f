"""What can be known to be wrong with objects before any cluster sees them."""

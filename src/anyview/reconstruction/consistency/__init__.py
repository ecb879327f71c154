"""What depth maps say of one another."""

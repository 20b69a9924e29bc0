"""What the generated pages are made from, one kind of page in one file."""

"""Tables of mixed columns in files: reading, the types of columns, and their raw numbers."""

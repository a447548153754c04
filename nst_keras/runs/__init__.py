"""A run on disk: its folder, record, metrics, pictures, pages; starting, resuming, finishing it."""

"""Pictures of many kinds with their right values, and a reading of folders of pictures."""

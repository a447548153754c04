"""Pictures: files, color, resizing; GIF, strip and MP4."""

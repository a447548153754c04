"""Pictures in and out: float32 sRGB in [0, 1]; resizing; GIF, strip, MP4."""

"""Synthetic renderers: small NumPy/OpenCV scenes that ship with the code and are always named synthetic."""

"""Pruning a classifier: by masks or by removing units, fine-tuned and judged, each step kept in its folder."""

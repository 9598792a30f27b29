"""Pruning a detector: which weights, how many, when, and what that costs, judged on images."""

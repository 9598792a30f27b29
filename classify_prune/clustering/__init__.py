"""Fuzzy c-means, the names of clusters, and what is to be had without clusters."""

"""Paper 002: A. C. Nara, "Image Classification Using Network Pruning and Clustering Techniques". A dense network for
1,362 vehicles, pruned after every epoch; fuzzy c-means, with and without genetic feature selection."""

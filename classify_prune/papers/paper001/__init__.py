"""Paper 001: J. Yoo, "Batch pruning, a robust distinctiveness pruning method for fine-grained image classification". A
dense network on feature vectors that loses its hidden units step by step, Tables 1, 2 and 4 and Fig. 4."""

"""Paper 000: A. Dhaliwal, "Vehicle Type Classification through Synthetic Images Using Convolutional Pruned Neural
Network". ResNet-18, pruned by magnitude and by distinctiveness, Tables 1 and 2."""

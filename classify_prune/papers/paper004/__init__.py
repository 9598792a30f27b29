"""Paper 004: A. A. Asaraf Ali, "A study of effect of pruning in a fully connected layer of a CNN architecture used for
classification". LeNet-5 whose dense layer loses its units one by one, Table 1 and Figs. 1, 3 and 4."""

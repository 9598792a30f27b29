"""What paper 002 prints, and where its text leaves a choice."""

from classify_prune.papers.pages import Reading

TITLE = "vehicle identities by a pruned dense network, types by fuzzy c-means"

TABLE2 = {"5": (-0.02647,), "10": (-0.02632,), "15": (-0.01232,)}
"""Iterations → silhouette on the training data."""
TABLE3 = {"500": (95.30, 5.32, 5.29), "100": (78.60, 4.16, 4.11)}
"""Epochs of the base model → accuracy on training, validation and test in percent."""
TABLE4 = {
    "0.2": (76.66, 5.12, 5.39),
    "0.3": (75.09, 5.12, 4.96),
    "0.4": (73.97, 4.81, 4.76),
    "0.5": (73.03, 4.61, 4.46),
}
"""Amount, at 100 epochs → likewise."""
TABLE5 = {"5": (12.63,), "10": (10.75,), "15": (15.63,)}
"""Iterations at m 1.7 → accuracy on the training data in percent."""
TABLE6 = {"1.7": (12.63,), "2.5": (7.56,), "3.5": (8.09,), "4.5": (11.09,), "5.5": (8.64,)}
"""m after 5 iterations → likewise."""
GENETIC = 12.70
"""Accuracy after genetic selection, population 10, 2 generations, in percent; 12.73 in section 4.2."""
MAJORITY = 21.8
"""Always answering Sedan on VehicleX's test split in percent; the paper does not say it."""

READINGS = (
    Reading(
        "sections 3.1 and 5.1, Table 4",
        "`prune.global_unstructured` with an amount of 0.2 to 0.5, applied after every epoch. In PyTorch an amount is "
        "a part of what remains, so it compounds: after 100 epochs at 0.2 a part of 2e-10 would be left. The paper's "
        "networks still learn their training data (73 to 77 %), which no empty layer does",
        "Both: of_remaining, as PyTorch counts, and of_total, where the amount is the sparsity from the first epoch "
        "on. Random pruning of_total is the control. Pruned after every epoch, the last one included.",
    ),
    Reading(
        "abstract, sections 1.1 and 3.1",
        '"Unstructured pruning which operates on weights of neurons", elsewhere "neurons having least L1-norm value '
        'were removed"; structured pruning is called the removal of a whole layer',
        "Single weights of the hidden layer go (`layers: all` takes the output layer's too). Whole units go in the "
        "part on distinctiveness, the paper's future work.",
    ),
    Reading(
        "section 3.1",
        '"Increase in accuracy is shown in Table 2 from 500 to 100"; Table 2 has silhouettes, Table 3 the accuracies, '
        "which are higher at 500",
        "Table 3; what is judged is the network after its last epoch.",
    ),
    Reading(
        "sections 2 and 3.1",
        "Features are between 0 and 1, and normalised, how is not said; no activation of the hidden layer is named",
        "Each feature by its range on training data (minmax); ReLU.",
    ),
    Reading(
        "section 2", "77,516 images", "VehicleX's feature release has 75,516: 45,438 + 14,936 + 15,142. All are used."
    ),
    Reading(
        "sections 1.2 and 3.2",
        'm must be above 1, then m "should be always 1 or else it would become K Nearest Neighbouring"',
        "m above 1; at 1 fuzzy c-means is k-means.",
    ),
    Reading(
        "sections 3.2 and 5.2",
        "How a cluster gets a type is not said. The accuracies lie about chance for 11 types",
        "Three ways side by side: Hungarian assignment and majority vote on the training split, and cluster i is type "
        "i, which is what an accuracy function fed with cluster numbers computes. The last is most like the paper's.",
    ),
    Reading(
        "Table 5 and section 5.2",
        "10 iterations at m 1.7: 10.75 % in table and abstract, 10.23 % in the text, where the whole data set is one",
        "Table 5, on the training split.",
    ),
    Reading(
        "section 5.2",
        '"Optimal value of m is 1 to 2"; Table 6 is one start each and falls and rises; 15 iterations "over-fit"',
        "Several starts each, with their spread. Where all centres are one point, m is too large for so many "
        "dimensions: marked as collapsed.",
    ),
    Reading(
        "abstract and section 4.2",
        "Genetic selection with clustering: 12.70 %, then 12.73 %",
        "12.70. It is compared with as many features drawn at random.",
    ),
    Reading(
        "section 3.3",
        'Crossover, mutation and selection are not named; "steps 5-9" of eight; the fitness is a "silhouette score" of '
        "a number of vectors that is not said",
        "Tournament, uniform crossover (.9), one flip a child in the mean, the best of parents and children survive. "
        "Silhouette of clusters found in the chosen features; drawn vectors in the search, all of them at the end.",
    ),
    Reading(
        "abstract",
        "4.11, 5.39, 10.75 and 12.70 % stand in one row as if each method beat the one before. The first two tell "
        "1,362 vehicles apart on test, chance .07 %; the last two 11 types on training data, chance 9.1 %",
        "Two tasks, two sections; nothing is compared across them.",
    ),
    Reading(
        "abstract, Table 5, section 4.2",
        "Genetic selection is said to gain 10.75 → 12.70 %; five iterations without it give 12.63 %, fifteen 15.63 %",
        "Compared with all features at equally many iterations, over several starts.",
    ),
    Reading(
        "abstract, section 2",
        "The data are divided into training, validation and test at random; the files come divided",
        "The files' own split where there is one, else at random, 60/20/20.",
    ),
    Reading(
        "Tables 3 and 4",
        "5.39 % after pruning against 4.11 %, but the base model of 500 epochs has 5.29 %; one run each",
        "Both base models, random pruning at equal amounts, and several seeds where they are asked for.",
    ),
    Reading(
        "Tables 3 to 6",
        "No baseline",
        "Majority class, nearest class mean and a linear probe on the same vectors, for both tasks. Always answering "
        "Sedan is right on 21.8 % of VehicleX's test split, above every clustering of the paper.",
    ),
)

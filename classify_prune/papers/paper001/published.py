"""What paper 001 prints, and where its text leaves a choice."""

from classify_prune.papers.pages import Reading

TITLE = "batch pruning by distinctiveness of a dense network"

BASE_TEST = 46.988
"""Test accuracy of the base model in percent, section 3."""

SPLITS = {"train": (45438, 60.17), "val": (15142, 20.05), "test": (14936, 19.78)}
"""Table 1: vectors, and their share of all in percent."""

CLASSES = {
    "sedan": (21.15, 20.875, 21.83),
    "suv": (10.95, 10.63, 11.39),
    "van": (4.34, 4.29, 4.22),
    "hatchback": (20, 19.32, 20.38),
    "mpv": (1.16, 0.97, 1.07),
    "pickup": (3.92, 3.58, 3.92),
    "bus": (5.60, 5.42, 5.15),
    "truck": (7.55, 7.87, 7.97),
    "estate": (4, 3.99, 4.13),
    "sportscar": (16.64, 17.03, 16.48),
    "RV": (4.60, 4.64, 4.82),
}
"""Table 2: percent of train, validation and test."""

BASE_FLOPS = 1_030_500
TABLE4 = {
    "most similar": (224, 461_664),
    "similar + complementary": (270, 556_470),
    "2 of 3 most similar": (334, 688_374),
}
"""Units removed before the inflection, and FLOPs that this takes away, for 2048-500-11."""

READINGS = (
    Reading(
        "Table 1, sections 2.2 and 2.3",
        "Table 1 and section 2.2 disagree: 15,142 vectors are the validation set in one and the test set in the other",
        "Splits are called what the data's own files call them.",
    ),
    Reading(
        "section 3, Table 4",
        "The inflection point is read off a plot of test accuracy; how is not said",
        "Two straight lines fitted by least squares to the mean validation accuracy over units removed; the end of the "
        "first is the point. Test accuracy is only read there. Intervals: seeds drawn anew.",
    ),
    Reading(
        "Table 4",
        'Under "FLOPs" the base model has its total and the methods what they take away',
        "Both are shown by name. 2061 a unit reproduces all four numbers: 2048 + 11 multiply-adds, a bias, an "
        "activation; the outputs' biases do not count.",
    ),
    Reading(
        "sections 2.5 and 3",
        "Neurons are removed; what becomes of a complementary one's weights is not said (in the works it follows, both "
        "of such a pair go)",
        "The similar one's outgoing weights are added to its partner's (rule outgoing). Of the complementary pair one "
        "goes and leaves nothing, since adding it to its opposite would be wrong.",
    ),
    Reading(
        "section 2.5, equation 1",
        'Outputs are "normalised to fit the range of 0-180"; equation 1 subtracts the mean',
        "Centred by the mean, so angles reach 180°; outputs after ReLU, over all training vectors.",
    ),
    Reading(
        "sections 2.3 to 2.5",
        "Neither the optimizer nor the length and rate of fine-tuning are named",
        "Adam; fine-tuning at the base model's rate with the same patience, its optimizer cleared each time. The best "
        "epoch on validation counts.",
    ),
    Reading(
        "section 2.5",
        '"We select X number of similar neurons and remove all but 1": by what the set is chosen is not said',
        "The pair of smallest angle, then one by one the unit whose angles to the set add up to the least; the lowest "
        "number of the set is kept and takes the outgoing weights of the others.",
    ),
    Reading(
        "Table 3",
        '"0.2 in each layer" dropout, in a network of one hidden layer',
        "After the hidden layer alone.",
    ),
    Reading(
        "section 2.3",
        '"Table 1 details the final set of hyperparameters"; Table 1 has the splits',
        "Table 3.",
    ),
    Reading(
        "sections 3 and 4",
        "46.988 % for 11 types is compared with 94.34 for 1,362 vehicles in VehicleX's own paper and laid to less "
        "data. That paper finds vehicles again in real pictures and classifies nothing, as paper 004's abstract says",
        "Not compared. Always answering sedan is right on 21.8 % of VehicleX's test split; section Data has it for "
        "these data.",
    ),
    Reading(
        "section 3, Fig. 4",
        "Accuracy is plotted over pruning iterations in the text and over neurons in the caption; a similar + "
        "complementary iteration removes two neurons, one of the batch iteration two as well",
        "Over units removed, so that methods compare.",
    ),
    Reading(
        "abstract, section 3",
        "33.2 % of the complexity is left at a sacrifice of 10 % accuracy, without saying whether points or per cent",
        "Both accuracies stand beside each other; the difference is in points.",
    ),
)

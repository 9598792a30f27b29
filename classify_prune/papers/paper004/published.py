"""What paper 004 prints, and where its text leaves a choice."""

from classify_prune.papers.pages import Reading

TITLE = "a dense layer of LeNet-5 that loses its units one by one"

BASE_TEST = 57.0
"""Test accuracy of LeNet-5 in percent, section 3."""

TABLE1 = {"0.1": 43.81, "0.01": 73.05, "0.05": 61.54, "0.001": 21.82}
"""Learning rate → best validation accuracy in percent, in the paper's order."""

UNITS = 84
FLAT = 50
"""Units after whose removal test accuracy falls, Fig. 4."""

MERGE = "published: incoming, |cos|"
"""What the published way of removing a unit is called here."""

READINGS = (
    Reading(
        "abstract, section 1.2",
        "The first 20 vehicles in the abstract, the first 10 in the text and in Fig. 1",
        "Ten. Data without vehicle ids run on the classes they have, and the report says so.",
    ),
    Reading(
        "section 1.3",
        "No optimizer is named; .01 is the best learning rate of Table 1, and .001 hardly learns in 200 epochs",
        "Plain stochastic gradient descent, with which a tenfold smaller rate is that much slower; Adam at .001 would "
        "learn well. Momentum is an option.",
    ),
    Reading(
        "section 1.4",
        '"Sigmoid function is used after the last layer", which is called a softmax layer a line before',
        "Logits and softmax cross-entropy; a sigmoid would change no answer, only the loss.",
    ),
    Reading(
        "section 1.4",
        "tanh after every convolution; what follows the dense layer of 84 units is not said",
        "tanh there too.",
    ),
    Reading(
        "section 2, pseudo-code",
        'i and j run to the "number of classes", and the largest similarity found so far is never kept',
        "Over all pairs of the layer's units; the pair of largest |cos| goes, the second of it is kept.",
    ),
    Reading(
        "section 2, pseudo-code",
        "|cos| chooses the pair, and the removed unit's incoming weights and bias are added to the other's, its "
        "outgoing weights dropped: under tanh that is right for no pair, and opposite units cancel each other",
        'Kept as "published" (rule most_parallel, merge incoming, raw cosines); the correct merges stand beside it, '
        "and so do random units.",
    ),
    Reading(
        "sections 1.3 and 3",
        "Best validation accuracy is 73.05 %, test accuracy of the same model 57 %, without a word about the gap",
        "Both are shown. The best epoch is chosen by the validation loss.",
    ),
    Reading(
        "section 1.2",
        "Random flips, turns, brightness, contrast and saturation, without strengths; grey comes before saturation, "
        "which then does nothing",
        "Changed in colour, then grey, 32x32, then standardised by the training images; strengths under Settings.",
    ),
    Reading(
        "sections 1.3 and 3",
        "One run; with ten vehicles of some 55 images the test split has about 110 images, so that one standard "
        "deviation of an accuracy of .57 is 4.7 points",
        "Several seeds, a band around the mean; what the test split holds stands in section Data.",
    ),
    Reading(
        "section 2",
        '"Followed by training the model again": for how long is not said, and whether it ends early neither',
        "As many epochs as the base model at most, at its rate, the optimizer cleared; tune_patience ends it early.",
    ),
    Reading(
        "sections 3 and 4",
        "50 redundant units are read off a plot of test accuracy",
        "The change point of validation accuracy, with an interval over seeds; test accuracy is only read there.",
    ),
)

"""What paper 000 prints, and where its text leaves a choice."""

from classify_prune.papers.pages import Reading

TITLE = "vehicle types by a pruned ResNet-18"

COLUMNS = ("validation %", "test %")
TABLE1 = {
    "0": (38.9, 38.0),
    "30": (42.9, 37.7),
    "50": (40.9, 38.4),
    "70": (39.5, 37.7),
    "95": (36.9, 34.4),
    "99": (18.4, 20.4),
}
"""Percent of the weights removed by magnitude → accuracies in percent."""

TABLE2 = {
    "0": (38.9, 38.0),
    "5": (38.9, 38.0),
    "10": (28.1, 31.7),
    "15": (26.1, 29.8),
    "20": (24.8, 24.5),
    "25": (22.8, 22.5),
    "30": (21.4, 19.8),
}
"""Threshold in degrees → accuracies in percent."""

READINGS = (
    Reading(
        "sections 3.2 and 4, Table 1",
        'Magnitude pruning "will remove the lowest 10% of weights"; then "percentage of removed neurons" and '
        '"removing up to 70% of nodes"',
        "Weights, all convolution kernels under one threshold; single weights are set to zero and no unit goes. The "
        "head is left out.",
    ),
    Reading(
        "section 3.2",
        'Units closer than a threshold go, and their weights "are added to any other neuron which is not removed"',
        "Outgoing weights are added to those of the unit they are close to (rule outgoing); pairs nearest first, one "
        "pass, a unit in one pair at most. The other rules stand beside it.",
    ),
    Reading(
        "section 3.2",
        "Activation vectors hold one output for each training image; those of a convolution are maps",
        "One number an image: the mean of the map (pattern image; Settings say which was used), taken after batch "
        "normalisation, addition and ReLU, as the next layer reads it, and not centred. What positions of the maps "
        "would give stands beside it: their angles are far wider.",
    ),
    Reading(
        "section 3.2",
        '"Each of our hidden neuron" in a network with residual sums, which only lose a channel in all blocks at once',
        "Channels of a stage's sum are units of one group, judged after the sum; channels inside a block are free.",
    ),
    Reading(
        "sections 3.1 and 3.3",
        'Adam, 1e-3, batches of 100, 50 epochs at most; pruned, then "fine tuned", for how long and at which rate is '
        "not said",
        "Fine-tuning with the same optimizer and batches; epochs and rate under Settings. The best epoch on validation "
        "counts, as for the base model.",
    ),
    Reading(
        "section 3.1",
        '256x256 images "resolved due to the implicit cropping which takes place on the average pooling layer"',
        "Global average pooling takes any size and crops nothing.",
    ),
    Reading(
        "section 4.2 and Table 2",
        "5° leaves both accuracies exactly as they were, 38.9 and 38.0, although the pruned model is fine-tuned",
        "Read as: nothing was removed at 5°. How many units lie under it here stands under Every merge rule.",
    ),
    Reading(
        "section 4.1",
        'After pruning "test accuracy even increases above that of the base model", laid to the smaller network. '
        "Pruned networks are trained further and the base is not; on test it is .4 points, in one row of five",
        'The base model after the same further training stands in both tables ("0, trained as long").',
    ),
    Reading(
        "Tables 1 and 2",
        "No baseline. Always answering sedan is right on 20.9 and 21.8 % of VehicleX's validation and test splits "
        "(paper 001, Table 2)",
        "99 % of the weights or 30° are then at or below that: nothing is left to compare there. The report's section "
        "Data has what the most frequent class is worth here.",
    ),
    Reading(
        "section 2.1",
        "Pixels are brought to 0-1; weights of ImageNet are made for its mean and deviation taken out too",
        "0-1, as written (standardise none); `--standardise imagenet` is the other reading.",
    ),
    Reading(
        "section 4.2",
        '"As we can see from Table 1" the threshold can be 5°; Table 1 has percents',
        "Table 2.",
    ),
    Reading(
        "section 4.3",
        "The two methods are compared by percent of weights here and degrees there",
        "Compared at equal parameters and at equal multiply-adds. Zeros count as gone for magnitude, which no common "
        "runtime makes true.",
    ),
)

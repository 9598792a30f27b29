"""What every command needs, knowing nothing of data or models.

`config` turns frozen dataclasses into YAML and command lines, `cli` runs verbs and turns mistakes into one line and
exit code 2, `folder` keeps a run, `files` writes atomically, `report` makes self-contained HTML pages, `manifest` finds
models by name. With Keras, `callbacks`, `checkpoint` and `run_board` connect `fit` to a run folder, `saved` loads what
they wrote, `origins` compares what a run began from, and `cpu` and `precision` say what it computes with.
"""

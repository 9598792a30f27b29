"""What every command needs, knowing nothing of data or models.

`config` turns frozen dataclasses into YAML and command lines, `cli` runs verbs and turns mistakes into one line and
exit code 2, `folder` keeps a run, `files` writes atomically, `report` makes self-contained HTML pages. With Keras,
`callbacks`, `checkpoint` and `run_board` connect `fit` to a run folder, `saved` loads what they wrote, and `cpu` and
`precision` say what it computes with.
"""

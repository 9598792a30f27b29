"""Papers about pruned vehicle classifiers, run again: `classify-prune paper NNN`.

A package `paperNNN` in this one is a paper, and its number becomes a verb by itself. It holds:

- `settings.py`: `Settings`, a frozen dataclass of options (`run_tools.config.option`), and `Settings.quick()`, a
  smaller copy for minutes on two cores. Its docstring's first line is the verb's summary. Nothing here loads Keras. Two
  fields have a meaning to the frame: `stored`, the size to which the images of a folder are compiled, and `seeds`.
- `published.py`: `TITLE`, the printed numbers with their table or figure, and `READINGS`, `pages.Reading`s in a tuple.
- `run.py`: `run(data, out, settings) -> dict`, what was found, as JSON holds it; it goes on where it was cut off.
  "tested" in it says how many test inputs were judged, where these are not all of the file's.
- `claims.py`: `claims(result)`, a list of `{"claim", "published", "ours"}`, short texts for the report and the table of
  `paper summary`.
- `page.py`: `page(report, result)`, which adds sections to a `run_tools.report.Report`, and `text(result) -> str` for
  the terminal.

`result` is what `verb.paper` returns: what `run` found, and `data`, `settings` and `quick` beside it.
"""

"""What a run reports: `console.Console` writes the log, `outputs.Report` has the results for later
jobs and the job summary, `markdown` escapes texts for Markdown."""

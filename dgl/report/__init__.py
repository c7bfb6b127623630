"""Reports: table files, charts, image strips, and the HTML page of an evaluation."""

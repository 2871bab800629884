"""Run, evaluation or comparison → one self-contained HTML page."""

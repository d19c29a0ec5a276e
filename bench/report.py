#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Print measured values as a Markdown table of medians.

    report.py RESULTS [REFERENCE]

RESULTS has a line "column TAB row TAB value" for each run. Columns and rows are printed in the order
of their first value. REFERENCE is a row: every other row's cells get their ratio to it, in brackets.
"""
import statistics
import sys


def read(path):
    runs = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            column, row, value = line.rstrip("\n").split("\t")
            runs.setdefault((column, row), []).append(float(value))
    return {key: statistics.median(values) for key, values in runs.items()}


def number(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def cell(medians, column, row, reference):
    value = medians.get((column, row))
    if value is None:
        return "–"
    base = medians.get((column, reference))
    if row == reference or not base:
        return number(value)
    return f"{number(value)} ({value / base:.2f})"


def main():
    path, reference = sys.argv[1], sys.argv[2]
    medians = read(path)
    columns = list(dict.fromkeys(column for column, _ in medians))
    rows = list(dict.fromkeys(row for _, row in medians))
    print("| |", " | ".join(columns), "|")
    print("| --- |", " | ".join("---:" for _ in columns), "|")
    for row in rows:
        print(f"| {row} |", " | ".join(cell(medians, c, row, reference) for c in columns), "|")


main()

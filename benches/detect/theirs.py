"""The time of River's and scikit-learn's own models on the values that ours are measured on.

Prints one line of JSON: nanoseconds for each value learned and scored, and for each forest fitted and asked.
"""

import json
import time

import numpy
from river import anomaly
from sklearn.ensemble import IsolationForest

VALUES = 20_000
FITS = 10


def half_space_trees():
    model = anomaly.HalfSpaceTrees(n_trees=10, height=8, window_size=250, seed=42)
    values = [0.3 + 0.2 * (index * 7919 % 1009 / 1009) ** 2 for index in range(VALUES)]
    model.learn_one({"value": values[0]})
    started = time.perf_counter_ns()
    for value in values:
        reading = {"value": value}
        model.learn_one(reading)
        model.score_one(reading)
    return (time.perf_counter_ns() - started) / VALUES


def isolation_forest():
    history = numpy.array([600 + index * 7919 % 1009 / 8 for index in range(13)]).reshape(-1, 1)
    reading = numpy.array([[650.0]])
    IsolationForest(contamination="auto", random_state=42).fit(history).predict(reading)
    started = time.perf_counter_ns()
    for _ in range(FITS):
        IsolationForest(contamination="auto", random_state=42).fit(history).predict(reading)
    return (time.perf_counter_ns() - started) / FITS


print(json.dumps({"half_space_trees_ns": half_space_trees(), "isolation_forest_ns": isolation_forest()}))

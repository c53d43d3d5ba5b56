"""Prints the hourly averages of a CSV file of readings: hour (seconds since 1970, local time taken as UTC), the
correctly rounded sum divided by the count, and what pandas computes. Usage: boston_means.py CSV
"""

import math
import sys

import pandas as pd

readings = pd.read_csv(sys.argv[1])
readings["hour"] = pd.to_datetime(readings["usage_datetime_start_eastern_time"]).dt.floor("h")
hours = readings.groupby("hour")["usage_kw"]
means = hours.mean()
for hour, values in hours:
    print(int(hour.timestamp()), repr(math.fsum(values) / len(values)), repr(float(means[hour])))

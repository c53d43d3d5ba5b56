-- The hourly averages of one day by series, here of the newest day in the table.
-- Adapt: the day. With the following line instead, the query reads only the files of that day:
-- WHERE start >= TIMESTAMP '2024-03-05 00:00:00 UTC' AND start < TIMESTAMP '2024-03-06 00:00:00 UTC'
-- For a day in another time zone, write its midnights in UTC: 05:00 for New York in winter.
SELECT key, start, "end", avg_usage, min_usage, max_usage, count AS readings
FROM usage
WHERE start >= (SELECT date_trunc('day', max(start)) FROM usage)
ORDER BY key, start;

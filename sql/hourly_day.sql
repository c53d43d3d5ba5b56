-- The hourly averages of one day: here the newest in the table.
-- For another day write WHERE start >= '2024-03-05' AND start < '2024-03-06'; then only that day's files are read.
SELECT key, start, "end", avg_usage, min_usage, max_usage, count
FROM usage
WHERE start >= (SELECT date_trunc('day', max(start)) FROM usage)
ORDER BY start, key;

-- The ten windows with the highest averages.
SELECT key, start, "end", avg_usage, max_usage
FROM usage
ORDER BY avg_usage DESC, start, key
LIMIT 10;

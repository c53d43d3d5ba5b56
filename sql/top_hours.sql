-- The ten windows with the highest averages, of all series together.
-- Adapt: the number; a WHERE on key or start. ASC instead of DESC gives the lowest.
SELECT key, start, "end", avg_usage, max_usage
FROM usage
ORDER BY avg_usage DESC, start, key
LIMIT 10;

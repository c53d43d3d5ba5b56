-- Gaps: stretches of time in which a series has no window at all, between its first and its newest.
-- Adapt: nothing; the length of a window is taken from the table. Windows with too few readings: see completeness.sql.
WITH windows AS (
  SELECT
    key,
    start,
    "end",
    lead(start) OVER (PARTITION BY key ORDER BY start) AS next_start
  FROM usage
)
SELECT
  key,
  "end" AS missing_from,
  next_start AS missing_until,
  CAST(
    (to_unixtime(next_start) - to_unixtime("end")) / (to_unixtime("end") - to_unixtime(start)) AS bigint
  ) AS missing_windows
FROM windows
WHERE next_start > "end"
ORDER BY key, missing_from;

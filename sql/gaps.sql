-- Gaps: stretches of time without a window, between the first and the newest window of a series.
-- Adapt: nothing; the window length comes from the table. For windows with too few readings see completeness.sql.
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

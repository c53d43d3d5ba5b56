-- The average of the last hour at the end of every window: an hour that slides by the table's window, here five minutes.
-- Adapt: 55 minutes, which is the hour less one window. Six hours over hourly windows: INTERVAL '5' HOUR.
-- Sums are added up, not averages, so that a window with few readings counts little. RANGE and not ROWS: where windows are missing,
-- the hour does not reach further back. A WHERE on start has to begin an hour before what it is to show.
SELECT
  key,
  "end" AS hour_until,
  -- Rounded, because the last bits depend on the order in which an engine adds.
  round(sum(sum_usage) OVER last_hour / sum(count) OVER last_hour, 3) AS average,
  CAST(sum(count) OVER last_hour AS bigint) AS readings
FROM usage
WINDOW last_hour AS (PARTITION BY key ORDER BY start RANGE BETWEEN INTERVAL '55' MINUTE PRECEDING AND CURRENT ROW)
ORDER BY key, hour_until;

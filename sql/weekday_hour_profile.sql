-- The usual week: average, lowest and highest of each hour of each weekday, over the whole table.
-- Adapt: the time zone of the weekdays and hours; a WHERE on start for a season of the year.
WITH hours AS (
  SELECT
    key,
    -- 0 is Monday in Athena and in DataFusion, although Athena counts Sunday as 7 and DataFusion as 0.
    (EXTRACT(DOW FROM start AT TIME ZONE 'UTC') + 6) % 7 AS day_number,
    date_format(start AT TIME ZONE 'UTC', '%a') AS weekday,
    EXTRACT(HOUR FROM start AT TIME ZONE 'UTC') AS hour,
    min_usage,
    max_usage,
    sum_usage,
    count
  FROM usage
)
SELECT
  key,
  weekday,
  hour,
  -- Rounded, because the last bits depend on the order in which an engine adds.
  round(sum(sum_usage) / sum(count), 3) AS avg_usage,
  min(min_usage) AS min_usage,
  max(max_usage) AS max_usage,
  count(*) AS windows
FROM hours
GROUP BY key, day_number, weekday, hour
ORDER BY key, day_number, hour;

-- Seven consecutive days side by side: one row per hour, one column per day, from the newest day back.
-- Adapt: the time zone of the days and hours. With 7, 14, 21, 28, 35 and 42 days back, the columns are the same weekday of
-- seven weeks. A day without data is an empty column.
WITH hours AS (
  SELECT
    key,
    -- Cast through text, because Athena has refused to cast times with a zone.
    CAST(date_format(start AT TIME ZONE 'UTC', '%Y-%m-%d') AS date) AS day,
    EXTRACT(HOUR FROM start AT TIME ZONE 'UTC') AS hour,
    -- In autumn, when clocks are set back, one hour of the clock has two windows.
    sum(sum_usage) / sum(count) AS average
  FROM usage
  GROUP BY 1, 2, 3
),
newest AS (
  SELECT max(day) AS newest_day FROM hours
)
SELECT
  key,
  hour,
  max(CASE WHEN day = newest_day THEN average END) AS newest_day,
  max(CASE WHEN day = newest_day - INTERVAL '1' DAY THEN average END) AS back_1,
  max(CASE WHEN day = newest_day - INTERVAL '2' DAY THEN average END) AS back_2,
  max(CASE WHEN day = newest_day - INTERVAL '3' DAY THEN average END) AS back_3,
  max(CASE WHEN day = newest_day - INTERVAL '4' DAY THEN average END) AS back_4,
  max(CASE WHEN day = newest_day - INTERVAL '5' DAY THEN average END) AS back_5,
  max(CASE WHEN day = newest_day - INTERVAL '6' DAY THEN average END) AS back_6
FROM hours CROSS JOIN newest
GROUP BY key, hour
ORDER BY key, hour;

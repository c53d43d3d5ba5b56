-- How complete each window is: its readings against the 12 that a reading every five minutes makes in an hour.
-- Windows with fewer or more come first; windows without any reading have no row and do not appear.
SELECT
  key,
  start,
  count AS readings,
  12 AS expected,
  12 - count AS missing,
  round(100.0 * count / 12, 1) AS percent
FROM usage
ORDER BY abs(12 - count) DESC, start, key;

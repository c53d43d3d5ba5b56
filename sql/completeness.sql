-- How complete each window is: its readings against the 12 that a reading every five minutes makes in an hour.
-- Adapt: 12, wherever it stands. The least complete come first; the newest window of each series may still be filling.
-- Windows without any reading have no row and do not appear: see gaps.sql.
SELECT
  key,
  start,
  count AS readings,
  12 AS expected,
  12 - count AS missing,
  round(100e0 * count / 12, 1) AS percent
FROM usage
ORDER BY abs(12 - count) DESC, start, key;

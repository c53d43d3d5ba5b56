-- How complete each window is: its number of readings against 12, one reading every five minutes for an hour.
-- Adapt: 12, in every place. The least complete windows come first; the newest window of each series may still be filling.
-- Windows without a reading have no row and do not appear: see gaps.sql.
SELECT
  key,
  start,
  count AS readings,
  12 AS expected,
  12 - count AS missing,
  round(100e0 * count / 12, 1) AS percent
FROM usage
ORDER BY abs(12 - count) DESC, start, key;
